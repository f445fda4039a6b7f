import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-fs'
import * as z from 'zod'
import { type LockRecord, lockHeldMessage } from '../../../infra/local/simulation/tofu/lock-record.ts'
import { PlanStore, planOwner } from '../../../infra/local/simulation/tofu/plan-store.ts'
import type { InitRequest } from '../../../infra/local/simulation/tofu/runner.ts'
import { type TerraformSpec, terraformSpecSchema } from '../../../infra/local/simulation/tofu/terraform-object.ts'
import { StateLocked, type Tofu } from '../../../infra/local/simulation/tofu/tofu.ts'
import type { Api } from '../cluster/api.ts'
import { apiPlanObjects } from './api-plan-objects.ts'

/** What an interrupted tofu has to end in order before it is killed. */
const interruptedMs = 60_000

const planFile = 'tfplan'

/** The fields of spec.backendConfig that become HCL. */
const backendSchema = z.object({
  customConfiguration: z.string().default(''),
  secretSuffix: z.string().default(''),
  inClusterConfig: z.boolean().default(false),
  configPath: z.string().default(''),
})

interface Heard {
  readonly signal?: AbortSignal
  /** Is told what tofu prints. */
  readonly hear?: (text: string) => void
}

interface RunOptions extends Heard {
  readonly fine?: readonly number[]
}

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly errors: string
}

/** The real OpenTofu, from PATH, in a directory of its own below `directory`. */
export class ProcessTofu implements Tofu {
  readonly #plans: PlanStore
  readonly #request: InitRequest
  readonly #spec: TerraformSpec
  readonly #root: string
  readonly #workspace: string

  constructor(api: Api, directory: string, request: InitRequest) {
    const { namespace, name } = request.object.metadata
    this.#request = request
    this.#spec = terraformSpecSchema.parse(request.object.spec)
    this.#plans = new PlanStore(apiPlanObjects(api), planOwner(request, this.#spec.workspace))
    this.#root = join(directory, `${namespace}-${name}`)
    this.#workspace = resolve(this.#root, this.#spec.path)
    if (relative(this.#root, this.#workspace).startsWith('..')) {
      throw new Error(`spec.path ${this.#spec.path} leaves the source`)
    }
  }

  async init(signal: AbortSignal): Promise<void> {
    await this.#unpack(signal)
    await writeFile(join(this.#workspace, 'backend_override.tf'), this.#backend())
    await this.#run(['init', '-input=false', '-no-color', '-force-copy'], { signal })
  }

  async forceUnlock(lockId: string): Promise<void> {
    await this.#run(['force-unlock', '-force', '-no-color', lockId])
  }

  async plan(purpose: 'apply' | 'drift', signal: AbortSignal): Promise<boolean> {
    const out = purpose === 'apply' ? planFile : 'tfdrift'
    const lock = this.#spec.plan?.lock === false ? ['-lock=false'] : []
    const destroy = purpose === 'apply' && this.#spec.destroy ? ['-destroy'] : []
    const args = ['plan', '-input=false', '-no-color', '-detailed-exitcode', `-out=${out}`, ...lock, ...destroy]
    return (await this.#run(args, { signal, fine: [0, 2] })) === 2
  }

  async savePlan(plan: string): Promise<void> {
    const { storeReadablePlan: how } = this.#spec
    const content = await readFile(join(this.#workspace, planFile))
    await this.#plans.save(plan, content, how === 'none' ? undefined : { how, text: await this.#shown(how) })
  }

  async loadPlan(plan: string): Promise<void> {
    await writeFile(join(this.#workspace, planFile), await this.#plans.load(plan))
  }

  async apply(signal: AbortSignal): Promise<void> {
    await this.#run(['apply', '-input=false', '-no-color', '-auto-approve', planFile], { signal })
  }

  async outputs(signal: AbortSignal): Promise<void> {
    await this.#run(['output', '-json', '-no-color'], { signal })
  }

  async #unpack(signal: AbortSignal): Promise<void> {
    const { url, digest } = this.#request.artifact
    const response = await fetch(url, { signal })
    if (!response.ok) throw new Error(`failed to download artifact from ${url}, status: ${response.status}`)
    const content = Buffer.from(await response.arrayBuffer())
    const found = `sha256:${createHash('sha256').update(content).digest('hex')}`
    if (found !== digest) throw new Error(`the artifact has digest ${found}, expected ${digest}`)
    await rm(this.#root, { recursive: true, force: true })
    await mkdir(this.#root, { recursive: true })
    await pipeline(Readable.from([content]), createGunzip(), extract(this.#root))
  }

  #backend(): string {
    const { namespace, name } = this.#request.object.metadata
    const config = this.#spec.backendConfig
    const parsed = backendSchema.parse(config ?? { secretSuffix: name, inClusterConfig: true })
    if (parsed.customConfiguration) return `terraform {\n  ${parsed.customConfiguration}\n}\n`
    const lines = [
      `    secret_suffix     = ${JSON.stringify(parsed.secretSuffix)}`,
      `    in_cluster_config = ${parsed.inClusterConfig}`,
      `    config_path       = ${JSON.stringify(parsed.configPath)}`,
      `    namespace         = ${JSON.stringify(namespace)}`,
    ]
    return `terraform {\n  backend "kubernetes" {\n${lines.join('\n')}\n  }\n}\n`
  }

  /** Answers the exit code. Throws StateLocked, or what tofu wrote, when it is none of `fine`. */
  async #run(args: readonly string[], { fine = [0], ...heard }: RunOptions = {}): Promise<number> {
    const { code, signal: killedBy, errors } = await ended(spawn('tofu', args, { cwd: this.#workspace }), heard)
    if (code !== null && fine.includes(code)) return code
    const holder = lockInfo(errors)
    if (holder) throw new StateLocked(lockHeldMessage(holder), holder)
    if (errors.includes('Error acquiring the state lock')) {
      throw new StateLocked(`error acquiring the state lock: ${errors.trim()}`)
    }
    throw new Error(errors.trim() || (killedBy ? `signal: ${killedBy}` : `exit status ${code}`))
  }

  /** The plan as people, or programs, read it. */
  async #shown(how: 'json' | 'human'): Promise<string> {
    const shown: string[] = []
    await this.#run(['show', how === 'json' ? '-json' : '-no-color', planFile], { hear: (text) => shown.push(text) })
    return shown.join('')
  }
}

/** An abort is SIGINT, and later SIGKILL. */
function ended(child: ChildProcess, { signal, hear }: Heard): Promise<Ended> {
  let errors = ''
  let killing: NodeJS.Timeout | undefined
  const interrupt = () => {
    child.kill('SIGINT')
    killing = setTimeout(() => child.kill('SIGKILL'), interruptedMs)
  }
  child.stdin?.end()
  child.stdout?.setEncoding('utf8').on('data', (text: string) => hear?.(text))
  child.stderr?.on('data', (chunk) => {
    errors += chunk
  })
  if (signal?.aborted) interrupt()
  else signal?.addEventListener('abort', interrupt, { once: true })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, killedBy) => {
      clearTimeout(killing)
      signal?.removeEventListener('abort', interrupt)
      resolve({ code, signal: killedBy, errors })
    })
  })
}

/** The record of the lock that tofu met, with `Created` as tofu prints it; undefined where it met none. */
export function lockInfo(errors: string): LockRecord | undefined {
  const block = /Lock Info:\n((?:[ \t]+\w+:.*\n?)+)/.exec(errors)?.[1]
  if (block === undefined) return undefined
  const field = (name: string) => new RegExp(`^\\s*${name}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(block)?.[1] ?? ''
  return {
    ID: field('ID'),
    Operation: field('Operation'),
    Info: field('Info'),
    Who: field('Who'),
    Version: field('Version'),
    Created: field('Created'),
    Path: field('Path'),
  }
}
