import { nearest } from '../../../functions/lib/nearest.ts'
import { isJson, readArguments, UsageError } from '../../../infra/command-line.ts'
import { demoTerraforms } from './demo.ts'
import type { Order } from './order.ts'

/** What `npm run cluster` was asked for. */
export interface Options {
  readonly command: Command
  /** One JSON document a line in place of text. */
  readonly json: boolean
}

export type Command =
  | { readonly name: 'help' }
  | {
      readonly name: 'up'
      readonly demo: boolean
      /** Where a Lockstep is told of pushes. */
      readonly webhook: string
    }
  | {
      readonly name: 'order'
      readonly order: Order
      /** Directory, or the end of its name, of the cluster that is meant; undefined where there is but one. */
      readonly cluster: string | undefined
    }

const usage = {
  up: 'npm run cluster',
  status: 'npm run cluster -- status',
  push: 'npm run cluster -- push',
  stop: 'npm run cluster -- stop PROCESS',
  start: 'npm run cluster -- start PROCESS',
  fault: 'npm run cluster -- fault FAULT [OBJECT]',
}

const commandNames = Object.keys(usage) as (keyof typeof usage)[]
const defaultSeconds = 2

/** Reads the arguments after `npm run cluster --`. Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const { positionals, values } = parse(args)
  const json = isJson(values.output)
  if (values.help) return { command: { name: 'help' }, json }
  const [name = 'up', ...words] = positionals
  const known = commandNames.find((each) => each === name)
  if (known === undefined) throw new UsageError(`${name} is no command${didYouMean(name, commandNames)}`)
  refuseForeign(known, Object.keys(values))
  return { command: commandOf(known, words, values), json }
}

type Values = ReturnType<typeof parse>['values']

function commandOf(name: keyof typeof usage, words: readonly string[], values: Values): Command {
  const [first, ...rest] = words
  const order = (each: Order): Command => ({ name: 'order', order: each, cluster: values.cluster })
  if (name === 'fault') {
    if (first === undefined) throw new UsageError(`Say which fault: ${usage.fault}.`)
    return order({ name, fault: first, target: rest })
  }
  if (name === 'stop' || name === 'start') {
    if (first === undefined || rest.length > 0) throw new UsageError(`Name one process: ${usage[name]}.`)
    return order({ name, process: first })
  }
  if (first !== undefined) throw new UsageError(`${name} takes no ${first}: ${usage[name]}.`)
  if (name === 'status') return order({ name })
  if (name === 'push') return order({ name, seconds: secondsOf(values.seconds), fail: failOf(values.fail) })
  return { name, demo: !values.empty, webhook: webhookOf(values.webhook) }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  return readArguments({
    args: [...args],
    allowPositionals: true,
    options: {
      ...{ help: { ...flag, short: 'h' }, output: { ...text, short: 'o' }, empty: flag, webhook: text },
      ...{ cluster: text, seconds: text, fail: text },
    },
  })
}

const optionsOf: Readonly<Record<keyof typeof usage, readonly string[]>> = {
  up: ['empty', 'webhook'],
  status: ['cluster'],
  push: ['cluster', 'seconds', 'fail'],
  stop: ['cluster'],
  start: ['cluster'],
  fault: ['cluster'],
}

function refuseForeign(command: keyof typeof usage, given: readonly string[]): void {
  const foreign = given.find((name) => name !== 'output' && !optionsOf[command].includes(name))
  if (foreign !== undefined) throw new UsageError(`--${foreign} is nothing for: ${usage[command]}.`)
}

function secondsOf(text: string | undefined): number {
  if (text === undefined) return defaultSeconds
  const seconds = Number(text)
  if (/^\d+$/.test(text) && seconds <= 3_600) return seconds
  throw new UsageError(`--seconds ${text} is no duration; give a whole number of seconds up to 3600.`)
}

function failOf(text: string | undefined): (typeof demoTerraforms)[number] | undefined {
  const name = demoTerraforms.find((each) => each === text)
  if (name === text) return name
  throw new UsageError(`--fail ${text} is no Terraform object of the demo; give ${demoTerraforms.join(' or ')}.`)
}

function webhookOf(text = 'http://127.0.0.1:8080/webhook'): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text
  throw new UsageError(`--webhook ${text} is no address; give one such as http://127.0.0.1:8080/webhook.`)
}

function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? `; known are ${candidates.join(', ')}.` : `; did you mean ${meant}?`
}

/** `faults`: a line each. */
export function helpText(faults: readonly string[]): string {
  return `A real cluster on this machine, without a container engine: etcd, kube-apiserver, Flux, and tofu-controller with
OpenTofu as plain processes on loopback, loaded with a demo fleet.

  ${usage.up.padEnd(42)} starts it, and keeps it up until Ctrl-C
  ${usage.status.padEnd(42)} its processes and the fleet's objects
  ${usage.push.padEnd(42)} commits a change to every layer, and tells Lockstep of it
  ${usage.fault.padEnd(42)} breaks something
  ${usage.stop.padEnd(42)} ends a process, such as kube-apiserver
  ${usage.start.padEnd(42)} starts it again, with its port and its data

Options:
  --empty          (up) without the demo fleet
  --webhook URL    (up) the Lockstep that is told of pushes; default http://127.0.0.1:8080/webhook
  --seconds N      (push) how long each apply of OpenTofu takes; default ${defaultSeconds}
  --fail NAME      (push) makes the apply of vpc or database fail
  --cluster NAME   which cluster is meant, where several run: its directory, or the end of its name
  -o json          one JSON document a line on standard output, and nothing else
  --help           this text

Faults:
${faults.map((line) => `  ${line}`).join('\n')}

Environment:
  LOCKSTEP_TOFU_CONTROLLER  directory with tofu-controller's programs manager and runner, and its CRDs in crds/;
                            without it tofu-controller is simulated, on the real API server and with the real OpenTofu

Exit codes: 0 done; 1 what was asked for failed; 2 the command line makes no sense; 3 no such cluster runs.

Examples:
  npm run cluster -- push --seconds 30
  npm run cluster -- fault kill-runner Terraform/flux-system/vpc
  npm run cluster -- push --fail database
  npm run cluster -- stop kube-apiserver && sleep 60 && npm run cluster -- start kube-apiserver
  npm run -s cluster -- status -o json | jq '.objects[] | select(.ready != "True")'
`
}
