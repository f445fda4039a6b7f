/** Asks a Flux controller or tofu-controller for a reconcile: any change of the value triggers. */
export const requestedAt = 'reconcile.fluxcd.io/requestedAt'

/** Names the rollout that suspended an object. Whoever removes it must know what they do to `spec.suspend`. */
export const gateAnnotation = 'lockstep.dev/gate'

/** On tofu-controller's Deployment: the guarded unlock that is under way, and what it takes to put all of it back. */
export const unlockAnnotation = 'lockstep.dev/unlock'

/** On tofu-controller's Deployment while an unlock is put back: what it had sent before comes too late. */
export const sealAnnotation = 'lockstep.dev/unlock-sealed'

/** On an object that an unlock has left suspended, for a person to look at and resume: why. */
export const heldAnnotation = 'lockstep.dev/held'

/** On a Terraform object: the plan in `spec.approvePlan` is there because people approved it. See `approvalMark`. */
export const approvedPlanAnnotation = 'lockstep.dev/approved-plan'

/** Comma-separated `Kind/namespace/name`: what must be ready before this object, across kinds. */
export const dependsOnAnnotation = 'lockstep.dev/depends-on'

/** One of the fleet's layer names. */
export const layerLabel = 'lockstep.dev/layer'

/** The Kustomization that applied an object (set by kustomize-controller on everything it applies). */
export const ownerLabels = {
  name: 'kustomize.toolkit.fluxcd.io/name',
  namespace: 'kustomize.toolkit.fluxcd.io/namespace',
} as const

/** The HelmRelease that installed an object (set by helm-controller on everything in the chart). */
export const releaseLabels = {
  name: 'helm.toolkit.fluxcd.io/name',
  namespace: 'helm.toolkit.fluxcd.io/namespace',
} as const

/** The field manager as which Lockstep writes. */
export const ourFieldManager = 'lockstep'

/** The field manager that kustomize-controller applies with (its `--field-manager` default). */
export const gitFieldManager = 'kustomize-controller'

/** The field manager that helm-controller installs with. */
export const helmFieldManager = 'helm-controller'
