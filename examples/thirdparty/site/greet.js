export const greet = (name) => `wing beats of ${name}: ${6 * 7}`;
