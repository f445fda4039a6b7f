/**
 * The simulated tofu-controller as a program: for a pod of a real API server, with the flags and the environment of the
 * real one. Its runners are the pods that it makes.
 */
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { systemClock } from '../../../functions/lib/clock.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { defaultDurations } from '../../../infra/local/simulation/durations.ts'
import { Faults } from '../../../infra/local/simulation/faults.ts'
import { GitServer } from '../../../infra/local/simulation/git-server.ts'
import { simulatedKinds } from '../../../infra/local/simulation/kinds.ts'
import { OciRegistry } from '../../../infra/local/simulation/oci-registry.ts'
import { RunnerServer } from '../../../infra/local/simulation/tofu/runner-server.ts'
import { TofuController } from '../../../infra/local/simulation/tofu/tofu-controller.ts'
import { ApiObjectStore } from './api-object-store.ts'
import { HttpRunnerNetwork } from './http-runner-network.ts'
import { InProcessNetwork } from './in-process-network.ts'
import { apiOf } from './kubeconfig-api.ts'
import { ProcessTofu } from './process-tofu.ts'
import { durationFlag, flagsOf, variable } from './program-environment.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)
const names = ['concurrent', 'runner-creation-timeout', 'graceful-shutdown-timeout', 'health-addr']
const flags = flagsOf(process.argv.slice(2), names)
const durations = {
  ...defaultDurations,
  runnerCreationTimeout: durationFlag(flags, 'runner-creation-timeout', defaultDurations.runnerCreationTimeout),
  gracefulShutdown: durationFlag(flags, 'graceful-shutdown-timeout', defaultDurations.gracefulShutdown),
}

const api = await apiOf(variable('KUBECONFIG'), 'tf-controller')
const { Terraform, GitRepository, OCIRepository } = simulatedKinds
const store = await ApiObjectStore.start(api, [Terraform, GitRepository, OCIRepository, builtinResources.Pod], say)
/** tofu runs in this process. */
const localRunner = process.env.INSECURE_LOCAL_RUNNER === '1'
const network = localRunner
  ? new InProcessNetwork(new RunnerServer((request) => new ProcessTofu(api, tmpdir(), request)))
  : new HttpRunnerNetwork(variable('HTTPS_PROXY'))
const git = new GitServer()
const controller = new TofuController({
  context: { store, clock: systemClock, durations, faults: new Faults(), reconciles: [] },
  git,
  registry: new OciRegistry(git),
  network,
  localRunner,
  concurrency: localRunner ? 1 : Number(flags.get('concurrent') ?? 4),
})
controller.start()

const [host = '127.0.0.1', port = '9440'] = (flags.get('health-addr') ?? ':9440').split(':')
createServer((_request, response) => response.end('ok')).listen(Number(port), host || '127.0.0.1')
say('tofu-controller, simulated: started')

let terminated = false
process.on('SIGTERM', async () => {
  if (terminated) process.exit(1)
  terminated = true
  say('tofu-controller, simulated: ending')
  await controller.shutDown(durations.gracefulShutdown)
  process.exit(0)
})
