export {
  type IrsaIdentity,
  type PodIdentity,
  RunnerIdentity,
  type RunnerIdentityProps,
  runnerNamespace,
  runnerServiceAccount,
} from '../aws/runner-identity.ts'
export { type RunnerStates, StateBackend, type StateBackendProps, type StateLock } from '../aws/state-backend.ts'
