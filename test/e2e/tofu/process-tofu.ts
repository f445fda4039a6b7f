import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, gunzipSync, gzipSync } from 'node:zlib'
import { extract } from 'tar-fs'
import * as z from 'zod'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { type LockRecord, lockHeldMessage } from '../../../infra/local/simulation/tofu/lock-record.ts'
import { PlanMismatch } from '../../../infra/local/simulation/tofu/plan-store.ts'
import type { InitRequest } from '../../../infra/local/simulation/tofu/runner.ts'
import { type TerraformSpec, terraformSpecSchema } from '../../../infra/local/simulation/tofu/terraform-object.ts'
import { StateLocked, type Tofu } from '../../../infra/local/simulation/tofu/tofu.ts'
import { type Api, ApiRefused, type ObjectKey } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'

/** What an interrupted tofu has to end in order before it is killed. */
const interruptedMs = 60_000

const planFile = 'tfplan'
const planSchema = z.object({
  metadata: z.object({ annotations: z.object({ savedPlan: z.string() }) }),
  data: z.object({ tfplan: z.string() }),
})

/** The fields of spec.backendConfig that become HCL. */
const backendSchema = z.object({
  customConfiguration: z.string().default(''),
  secretSuffix: z.string().default(''),
  inClusterConfig: z.boolean().default(false),
  configPath: z.string().default(''),
})

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly errors: string
}

/** The real OpenTofu, from PATH, in a directory of its own below `directory`. */
export class ProcessTofu implements Tofu {
  readonly #api: Api
  readonly #request: InitRequest
  readonly #spec: TerraformSpec
  readonly #root: string
  readonly #workspace: string

  constructor(api: Api, directory: string, request: InitRequest) {
    const { namespace, name } = request.object.metadata
    this.#api = api
    this.#request = request
    this.#spec = terraformSpecSchema.parse(request.object.spec)
    this.#root = join(directory, `${namespace}-${name}`)
    this.#workspace = resolve(this.#root, this.#spec.path)
    if (relative(this.#root, this.#workspace).startsWith('..')) {
      throw new Error(`spec.path ${this.#spec.path} leaves the source`)
    }
  }

  async init(signal: AbortSignal): Promise<void> {
    await this.#unpack(signal)
    await writeFile(join(this.#workspace, 'backend_override.tf'), this.#backend())
    await this.#run(['init', '-input=false', '-no-color', '-force-copy'], signal)
  }

  async forceUnlock(lockId: string): Promise<void> {
    await this.#run(['force-unlock', '-force', '-no-color', lockId])
  }

  async plan(purpose: 'apply' | 'drift', signal: AbortSignal): Promise<boolean> {
    const out = purpose === 'apply' ? planFile : 'tfdrift'
    const lock = this.#spec.plan?.lock === false ? ['-lock=false'] : []
    const args = ['plan', '-input=false', '-no-color', '-detailed-exitcode', `-out=${out}`, ...lock]
    return (await this.#run(args, signal, [0, 2])) === 2
  }

  async savePlan(plan: string): Promise<void> {
    const { namespace, name } = this.#request.object.metadata
    const labels = {
      'infra.contrib.fluxcd.io/plan-name': name,
      'infra.contrib.fluxcd.io/plan-workspace': this.#spec.workspace,
    }
    const secret: KubernetesObject = {
      ...kinds.Secret,
      metadata: { namespace, name: this.#secret.name, labels, annotations: { savedPlan: plan } },
      data: { tfplan: gzipSync(await readFile(join(this.#workspace, planFile))).toString('base64') },
    }
    await this.#api.delete(this.#secret).catch((error: unknown) => {
      if (!(error instanceof ApiRefused && error.status === 404)) throw error
    })
    await this.#api.create(secret)
  }

  async loadPlan(plan: string): Promise<void> {
    const secret = await this.#api.find(this.#secret)
    if (!secret) throw new PlanMismatch(`no plan secrets found for plan ${plan}`)
    const { metadata, data } = planSchema.parse(secret)
    const { savedPlan } = metadata.annotations
    if (savedPlan !== plan) {
      throw new PlanMismatch(`pending plan ${plan} does not match secret ${this.#secret.name} (${savedPlan})`)
    }
    await writeFile(join(this.#workspace, planFile), gunzipSync(Buffer.from(data.tfplan, 'base64')))
  }

  async apply(signal: AbortSignal): Promise<void> {
    await this.#run(['apply', '-input=false', '-no-color', '-auto-approve', planFile], signal)
  }

  async outputs(signal: AbortSignal): Promise<void> {
    await this.#run(['output', '-json', '-no-color'], signal)
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
  async #run(args: readonly string[], signal?: AbortSignal, fine: readonly number[] = [0]): Promise<number> {
    const { code, signal: killedBy, errors } = await ended(spawn('tofu', args, { cwd: this.#workspace }), signal)
    if (code !== null && fine.includes(code)) return code
    const holder = lockInfo(errors)
    if (holder) throw new StateLocked(lockHeldMessage(holder), holder)
    if (errors.includes('Error acquiring the state lock')) {
      throw new StateLocked(`error acquiring the state lock: ${errors.trim()}`)
    }
    throw new Error(errors.trim() || (killedBy ? `signal: ${killedBy}` : `exit status ${code}`))
  }

  get #secret(): ObjectKey {
    const { namespace, name } = this.#request.object.metadata
    return { ...kinds.Secret, namespace, name: `tfplan-${this.#spec.workspace}-${name}` }
  }
}

/** An abort is SIGINT, and later SIGKILL. */
function ended(child: ChildProcess, signal?: AbortSignal): Promise<Ended> {
  let errors = ''
  let killing: NodeJS.Timeout | undefined
  const interrupt = () => {
    child.kill('SIGINT')
    killing = setTimeout(() => child.kill('SIGKILL'), interruptedMs)
  }
  child.stdin?.end()
  child.stdout?.resume()
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
