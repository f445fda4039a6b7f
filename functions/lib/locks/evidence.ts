import * as z from 'zod'

const time = z.number()

/** What was read, where and when (milliseconds since the epoch); or that it could not be read, and why. */
const piece = <Value extends z.ZodType>(value: Value) =>
  z.object({
    /** For people: `Pod/flux-system/vpc-tf-runner in staging`. */
    source: z.string(),
    readAt: time,
    reading: z.union([z.object({ value }), z.object({ unknown: z.string() })]),
  })

/** One piece of evidence. */
export interface Piece<Value> {
  readonly source: string
  readonly readAt: number
  readonly reading: { readonly value: Value } | { readonly unknown: string }
}

/** What a piece says; undefined where it could not be read. */
export function readingOf<Value>({ reading }: Piece<Value>): Value | undefined {
  return 'value' in reading ? reading.value : undefined
}

/** Why a piece could not be read; undefined where it could. */
export function whyUnknown({ source, reading }: Piece<unknown>): string | undefined {
  return 'unknown' in reading ? `${source}: ${reading.unknown}` : undefined
}

/** What the lock's record says: the holder's word. */
const claimed = z.object({
  id: z.string(),
  operation: z.string(),
  user: z.string(),
  /** A pod's name for a runner. */
  host: z.string(),
  version: z.string(),
  created: z.string(),
  /** By the holder's clock. */
  createdAt: time.optional(),
  path: z.string(),
})

/** One place where the lock is. An object with `use_lockfile` and `dynamodb_table` has one lock in two. */
export const lockPartSchema = z.object({
  store: z.enum(['dynamodb', 's3', 'kubernetes']),
  /** For people. */
  address: z.string(),
  /** Changes with every change of the part. Undefined where the store gives nothing to compare. */
  version: z.string().optional(),
  /** By the store's clock. */
  takenAt: time.optional(),
})

const lock = z.object({
  parts: z.array(lockPartSchema),
  record: claimed.optional(),
  /** Why there is no record to go by: garbage, or two parts that tell of different locks. */
  problem: z.string().optional(),
})

/** What earlier scans knew of this very lock. */
const sight = z.object({
  /** Our clock, when a scan first found it. */
  firstSeenAt: time,
  /** The last look before that, which did not find it. Undefined where nobody had looked. */
  notSeenAt: time.optional(),
  /** Neither the lock nor the state has moved since, by our clock. */
  unchangedSince: time,
  /** Every scan since then has found a proof of the holder's death. */
  deadSince: time.optional(),
  /** The runner's pod that was first seen beside this lock, and its node. */
  pod: z.object({ uid: z.string(), node: z.string().optional() }).optional(),
  /** Why its holder may be the runner of another object: for as long as this lock is held, whatever is corrected. */
  doubt: z.string().optional(),
})

const container = z.object({
  id: z.string().optional(),
  state: z.enum(['waiting', 'running', 'terminated']),
  /** Whole seconds, by the node's clock: when the container that runs now was started. */
  startedAt: time.optional(),
  /** Whole seconds, by the node's clock: when the last one that ended did. */
  finishedAt: time.optional(),
  restarts: z.number(),
})

const pod = z.union([
  z.object({ exists: z.literal(false) }),
  z.object({
    exists: z.literal(true),
    uid: z.string(),
    /** Whole seconds, by the API server's clock. */
    createdAt: time,
    phase: z.string(),
    node: z.string().optional(),
    /** It is being deleted, by the API server's clock. */
    deletingSince: time.optional(),
    /** Undefined before the kubelet has said anything. */
    container: container.optional(),
  }),
])

const nodes = z.object({
  total: z.number(),
  /** The node of the pod that is there now. Undefined without such a pod, or before it is scheduled. */
  own: z
    .object({ name: z.string(), state: z.enum(['ready', 'not ready', 'gone']), heartbeatAt: time.optional() })
    .optional(),
  /** Nodes that do not answer: what ran there may still run, whatever the API says of its pod. */
  silent: z.array(z.object({ name: z.string(), createdAt: time, heartbeatAt: time.optional() })),
})

const controller = z.object({
  /** `flux-system/tofu-controller`; undefined where there is none. */
  deployment: z.string().optional(),
  replicas: z.number(),
  /** Pods that run and are ready. */
  ready: z.number(),
  pods: z.array(z.object({ name: z.string(), phase: z.string(), ready: z.boolean() })),
  leader: z.object({ holder: z.string(), renewedAt: time, leaseMs: z.number() }).optional(),
})

const object = z.union([
  z.object({ exists: z.literal(false) }),
  z.object({
    exists: z.literal(true),
    suspended: z.boolean(),
    ready: z.enum(['True', 'False', 'Unknown']),
    reason: z.string(),
    /** One line, shortened. */
    message: z.string(),
    reconciling: z.boolean(),
    stateLocked: z.boolean(),
    /** The lock that the controller met. */
    pendingLock: z.string().optional(),
  }),
])

export const stateEvidenceSchema = z.union([
  z.object({ exists: z.literal(false) }),
  z.object({
    exists: z.literal(true),
    /** Changes with every write: an S3 version id or ETag, a resourceVersion. */
    version: z.string(),
    serial: z.number().optional(),
    lineage: z.string().optional(),
    md5: z.string().optional(),
    sizeBytes: z.number(),
    modifiedAt: time.optional(),
  }),
])

/** All that a verdict rests on. Times are in milliseconds since the epoch. */
export const evidenceSchema = z.object({
  /** When it was put together, by our clock. */
  at: time,
  lock,
  sight,
  /** `Terraform/flux-system/vpc`, the one object whose backend this is. */
  owner: z.object({ cluster: z.string(), object: z.string() }).optional(),
  /** The runner's pod, where the record names the owner's; else why it is somebody else. */
  holder: z.union([z.object({ runner: z.string() }), z.object({ other: z.string() })]),
  pod: piece(pod),
  nodes: piece(nodes),
  controller: piece(controller),
  object: piece(object),
  state: piece(stateEvidenceSchema),
})

export type Evidence = Readonly<z.infer<typeof evidenceSchema>>
/** What one look at a place has found, before what earlier ones knew is added. */
export type Look = Omit<Evidence, 'sight'> & {
  /** Why the holder may be the runner of another object that keeps the same state. */
  readonly shared?: string | undefined
}
export type LockClaimed = z.infer<typeof claimed>
export type LockPart = z.infer<typeof lockPartSchema>
export type Sight = z.infer<typeof sight>
export type PodEvidence = z.infer<typeof pod>
export type NodesEvidence = z.infer<typeof nodes>
export type ControllerEvidence = z.infer<typeof controller>
export type ObjectEvidence = z.infer<typeof object>
export type StateEvidence = z.infer<typeof stateEvidenceSchema>

/** The pieces by their names, for whoever goes through all of them. */
export const pieceNames = ['pod', 'nodes', 'controller', 'object', 'state'] as const
