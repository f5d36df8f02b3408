/** Time is passed in, so that responders and loops can be driven by tests. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
}
