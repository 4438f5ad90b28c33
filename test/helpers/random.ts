// Chance that can be had again: the same seed, the same numbers.

/** Numbers from 0 to 1 that depend on the seed alone: xorshift32 (Marsaglia 2003). */
export function generator(seed: number): () => number {
  let x = (seed ^ 0x9e3779b9) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}
