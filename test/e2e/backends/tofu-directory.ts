import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Guardian } from '../cluster/guardian.ts'
import { type Exit, Process } from '../cluster/process.ts'

export interface S3Backend {
  readonly bucket: string
  readonly key: string
  readonly endpoints: { readonly s3: string; readonly dynamodb: string }
  /** Whether the lock is an object beside the state. */
  readonly lockfile: boolean
  /** Whether the lock is an item of this table. */
  readonly table?: string
}

export interface TofuDirectoryOptions {
  readonly binary: string
  readonly guardian: Guardian
  /** Of the directory: one for each. */
  readonly name: string
  readonly backend: S3Backend
}

export interface Ended extends Exit {
  /** What it wrote to both of its outputs. */
  readonly output: string
}

/** A directory with a configuration of one resource, whose creation lasts as long as the test wants it to. */
export class TofuDirectory {
  readonly #directory: string
  readonly #options: TofuDirectoryOptions
  #runs = 0

  constructor(options: TofuDirectoryOptions) {
    this.#options = options
    this.#directory = join(options.guardian.directory, options.name)
  }

  async write(): Promise<void> {
    await mkdir(this.#directory, { recursive: true })
    await writeFile(join(this.#directory, 'main.tf'), configuration(this.#options.backend))
  }

  /** Runs `tofu` to its end. Colours are off and nothing is asked. */
  async run(...args: readonly string[]): Promise<Ended> {
    const process = this.#process(args)
    await process.start()
    const exit = await process.exited
    return { ...exit, output: process.output() }
  }

  /** The same for a run that has to succeed. Throws an error with what it wrote where it does not. */
  async succeed(...args: readonly string[]): Promise<void> {
    const { code, signal, output } = await this.run(...args)
    if (code !== 0) throw new Error(`tofu ${args.join(' ')} ended with ${signal ?? code}:\n${output}`)
  }

  /** An apply that creates the resource anew and, with the lock held, waits for `release`. `n`: other than before. */
  async startApply(n: number): Promise<Process> {
    const holding = join(this.#directory, 'holding')
    await rm(holding, { force: true })
    await rm(join(this.#directory, 'release'), { force: true })
    const args = ['apply', '-auto-approve', '-input=false', '-no-color', `-var=n=${n}`, '-var=wait=true']
    const process = this.#process(args, async () => existsSync(holding))
    await process.start()
    return process
  }

  /** Lets the apply that waits go on. */
  async release(): Promise<void> {
    await writeFile(join(this.#directory, 'release'), '')
  }

  #process(args: readonly string[], ready?: () => Promise<boolean>): Process {
    const { binary, guardian, name } = this.#options
    return new Process({
      name: `tofu ${args[0]}`,
      guardian,
      log: join(guardian.directory, `${name}-${++this.#runs}.log`),
      cwd: this.#directory,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: this.#directory, CHECKPOINT_DISABLE: '1' },
      command: [binary, ...args],
      ...(ready && { ready }),
    })
  }
}

function configuration({ bucket, key, endpoints, lockfile, table }: S3Backend): string {
  return `
terraform {
  backend "s3" {
    bucket       = "${bucket}"
    key          = "${key}"
    region       = "us-east-1"
    access_key   = "local"
    secret_key   = "local"
    encrypt      = true
    use_lockfile = ${lockfile}
    ${table === undefined ? '' : `dynamodb_table = "${table}"`}
    endpoints = {
      s3       = "${endpoints.s3}"
      dynamodb = "${endpoints.dynamodb}"
    }
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_requesting_account_id  = true
    skip_region_validation      = true
  }
}

variable "n" {
  type    = number
  default = 1
}

variable "wait" {
  type    = bool
  default = false
}

resource "terraform_data" "one" {
  triggers_replace = [var.n]
  provisioner "local-exec" {
    command = var.wait ? "touch holding; while [ ! -e release ]; do sleep 0.05; done" : "true"
  }
}
`
}
