/**
 * The simulated runner as a program: for a runner pod of a real API server, with the real OpenTofu on its PATH. It ends
 * only when it is killed, as the real one.
 */
import { tmpdir } from 'node:os'
import { RunnerServer } from '../../../infra/local/simulation/tofu/runner-server.ts'
import { apiOf } from './kubeconfig-api.ts'
import { ProcessTofu } from './process-tofu.ts'
import { flagsOf, variable } from './program-environment.ts'
import { serveRunner } from './runner-http.ts'

const flags = flagsOf(process.argv.slice(2), ['grpc-port', 'tls-secret-name'])
const api = await apiOf(variable('KUBECONFIG'), 'tf-runner')
const runner = new RunnerServer((request) => new ProcessTofu(api, tmpdir(), request))
process.on('SIGTERM', () => runner.terminate())
await serveRunner(runner, Number(flags.get('grpc-port') ?? 30_000))
process.stdout.write('tf-runner, simulated: started\n')
