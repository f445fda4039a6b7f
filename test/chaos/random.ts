/** Random choices that all follow from one seed (mulberry32, in the public domain). */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
    // Seeds that are next to each other must not begin alike.
    for (let turns = 0; turns < 3; turns++) this.next()
  }

  /** From 0 up to, not including, 1. */
  readonly next = (): number => {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.between(0, choices.length - 1)]
    if (chosen === undefined) throw new RangeError('there is nothing to choose from')
    return chosen
  }

  /** Choices of their own: how many are made of them does not change the others. */
  fork(): Random {
    return new Random(this.between(0, 2 ** 32 - 1))
  }
}
