/** What made a controller look at an object. */
export type Trigger =
  | 'created'
  | 'controller-start'
  | 'generation'
  | 'requestedAt'
  | 'artifact'
  | 'dependency'
  | 'retry'
  | 'interval'

export type Outcome =
  | 'succeeded'
  | 'failed'
  | 'dependency-not-ready'
  /** A Terraform plan that a person has to approve. */
  | 'waiting-for-approval'
  /** The runner never got an address: nothing ran. */
  | 'lost'
  /** The controller stopped in the middle. */
  | 'interrupted'

/** One run of a controller on one object, in milliseconds of the simulation's clock. */
export interface Reconcile {
  readonly key: string
  readonly trigger: Trigger
  readonly startedAt: number
  /** The source revision that the run works on; a HelmRelease's is its chart version. */
  readonly revision: string
  /** When the outcome could be read from the object's status; undefined while it runs. */
  readonly finishedAt?: number
  readonly outcome?: Outcome
}
