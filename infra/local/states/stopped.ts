/** Thrown through the code of a branch that is no longer to go on: nothing is recorded any more. */
export class Stopped extends Error {}
