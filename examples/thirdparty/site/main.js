import { greet } from "./greet.js";
import { unused } from "./unused.js";

console.log(greet("dunlin"));
