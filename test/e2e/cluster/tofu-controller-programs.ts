import { mkdir, symlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crdFiles } from '../upstream/go-build.ts'
import type { TofuController } from '../upstream/tofu-controller.ts'
import { answers } from './http-probe.ts'
import { program } from './kubelet-isolation.ts'
import type { PodProgram } from './kubelet-pod.ts'

/** What a tofu-controller consists of: two programs, and the CRDs that it brings along. */
export interface TofuPrograms {
  readonly manager: PodProgram
  readonly runner: PodProgram
  /** Files. */
  readonly crds: readonly string[]
}

export interface TofuProgramsOptions {
  readonly controller: TofuController
  /** Where the runners' PATH is made. */
  readonly directory: string
  /** File; of a user that may do everything. */
  readonly kubeconfig: string
  /** Path of OpenTofu. */
  readonly tofu: string
  /** URL of the runners' network. */
  readonly proxy: string
  /** What a node gives to every runner besides, such as credentials and where AWS is. */
  readonly runnerEnv?: Readonly<Record<string, string>>
}

/** Values of the label `app.kubernetes.io/name`, as the chart and the manager set them. */
export const managerName = 'tofu-controller'
export const runnerName = 'tf-runner'

const simulated = fileURLToPath(new URL('../tofu/', import.meta.url))

/** What shell commands in Terraform code may need. A program `terraform` would be taken before tofu, so PATH is this. */
const tools = [
  ...['basename', 'cat', 'chmod', 'cp', 'cut', 'date', 'dirname', 'echo', 'env', 'expr', 'false', 'grep', 'head'],
  ...['id', 'ls', 'mkdir', 'mktemp', 'mv', 'printf', 'pwd', 'rm', 'sed', 'seq', 'sh', 'sleep', 'sort', 'tail', 'tee'],
  ...['test', 'touch', 'tr', 'true', 'uname', 'wc'],
]

/**
 * The programs of a tofu-controller, to be run in pods. The simulated ones take the same flags and variables as the
 * real ones, listen on the same ports, and reach their runners through the same proxy.
 */
export async function tofuPrograms(options: TofuProgramsOptions): Promise<TofuPrograms> {
  const { controller, directory, kubeconfig, proxy, tofu, runnerEnv } = options
  const path = await runnerPath(directory, tofu)
  const access = { KUBECONFIG: kubeconfig, PATH: path }
  return {
    manager: {
      name: managerName,
      command: commandOf(controller, 'manager'),
      env: { ...access, HTTPS_PROXY: proxy },
      args: (args, port) => [...without(args, '--health-addr'), `--health-addr=127.0.0.1:${port}`],
      ready: (port) => answers(`http://127.0.0.1:${port}/readyz`),
    },
    runner: {
      name: runnerName,
      command: commandOf(controller, 'runner'),
      env: { ...runnerEnv, ...access },
      args: (args, port) => [...without(args, '--grpc-port'), '--grpc-port', `${port}`],
      ready: listens,
    },
    crds: await crdFiles(join(directoryOf(controller), 'crds')),
  }
}

const directoryOf = (controller: TofuController) => (controller.kind === 'real' ? controller.directory : simulated)

function commandOf(controller: TofuController, name: 'manager' | 'runner'): [string, ...string[]] {
  const file = join(directoryOf(controller), name)
  return controller.kind === 'real' ? [file] : [process.execPath, `${file}.ts`]
}

/** Without a flag, which is `--flag=value` or `--flag value`. */
function without(args: readonly string[], flag: string): string[] {
  return args.filter((arg, index) => !arg.startsWith(`${flag}=`) && arg !== flag && args[index - 1] !== flag)
}

/** A directory with tofu and little else. */
async function runnerPath(directory: string, tofu: string): Promise<string> {
  const path = join(directory, 'runner-path')
  await mkdir(path)
  const link = (name: string, target: string | undefined) => target && symlink(target, join(path, name))
  await Promise.all([link('tofu', tofu), ...tools.map((tool) => link(tool, program(tool)))])
  return path
}

/** Whether somebody accepts connections on a loopback port now. */
export function listens(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })
}
