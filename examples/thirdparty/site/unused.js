export const unused = () => "this text must not be in the bundle";
