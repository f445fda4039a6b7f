import { fileURLToPath } from 'node:url'
import { readArguments, UsageError } from '../command-line.ts'

/** What the local host was asked to do. */
export interface Options {
  readonly manifests: string
  readonly fleet: string
  /** File with a push payload; undefined where none is sent. */
  readonly push: string | undefined
  /** Somebody named the push, so that it is sent whatever happened before. */
  readonly pushGiven: boolean
  readonly kubeconfig: string | undefined
  readonly context: string | undefined
  readonly cluster: string | undefined
  /** 0: any that is free. */
  readonly port: number
  /** Nobody named the port: another one will do. */
  readonly portIsDefault: boolean
  readonly speed: number
  readonly json: boolean
  readonly once: boolean
  /** Nothing of it is anybody's own: it is shown what Lockstep is for. */
  readonly demo: boolean
  readonly data: string | undefined
  readonly help: boolean
}

const demoFleet = fileURLToPath(new URL('../../test/fixtures/fleet', import.meta.url))
const demoPush = fileURLToPath(new URL('../../test/fixtures/github/push.json', import.meta.url))
const demoConfiguration = fileURLToPath(new URL('../../cdk.json', import.meta.url))

/** So that the demo is over in seconds and a person can still follow it. */
const defaultSpeed = 3
const defaultPort = 8080
/** Of the console. */
export const defaultUrl = `http://127.0.0.1:${defaultPort}`

/** Of the console that `--url` names, without a path. Throws UsageError. */
export function consoleUrl(url = defaultUrl): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed.origin
  throw new UsageError(`--url ${url} is no address; give one such as ${defaultUrl}.`)
}

export const helpText = `Runs Lockstep on this machine, without an AWS account.

  npm start                              the demo: a simulated fleet, a push, its rollout; then it serves
  npm run demo                           the same, and ends with the rollout

Options (after --):
  --manifests DIR    YAML of the simulated clusters: clusters/<name>/ for each, or one for all
  --push FILE        payload of a GitHub push to send in place of the demo's
  --fleet FILE       cdk.json with the fleet in context "lockstep"
  --kubeconfig FILE  a real cluster in place of simulated ones; a push is sent only if --push names one
  --context NAME     context of the kubeconfig; default: its current one
  --cluster NAME     which cluster of the fleet the kubeconfig's is; needed where the fleet has several
  --port N           port of console and webhook; default ${defaultPort}, 0 for any that is free
  --speed N          simulated time runs N times as fast; default ${defaultSpeed}, 1 is real time
  --data DIR         keeps ledger and executions there; started again, they go on
  --once             ends after the rollout, with 0 where all succeeded and 1 where not;
                     what waits for a person for two minutes is released
  --json             one JSON document a line on standard output, and nothing else
  --help             this text

Environment:
  LOCKSTEP_WEBHOOK_SECRET  what GitHub signs deliveries with; without it only this process can sign
  LOCKSTEP_SLACK           the secret of notifications.slack in the fleet, as in AWS: {"webhook": …} or {"token": …}
  LOCKSTEP_GITHUB          that of notifications.github: {"token": …}, or appId, installationId and privateKey

Examples:
  npm start -- --speed 1
  npm start -- --manifests ../fleet-infra --push push.json --fleet ../lockstep/cdk.json
  npm run -s demo -- --json | jq 'select(.type == "result")'
  npm start -- --kubeconfig ~/.kube/config --context kind-flux --cluster staging --push push.json
`

/** Reads the command line's arguments. Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args)
  const { kubeconfig, context, cluster, once = false } = values
  const real = kubeconfig !== undefined
  if (real && values.speed !== undefined) throw new UsageError('A real cluster has real time: --speed cannot be set.')
  if (real && values.manifests !== undefined) {
    throw new UsageError('--manifests is for simulated clusters: it cannot be loaded into the one of --kubeconfig.')
  }
  if (!real && context !== undefined) throw new UsageError('--context needs --kubeconfig.')
  if (!real && cluster !== undefined) throw new UsageError('--cluster needs --kubeconfig.')
  if (real && once && values.push === undefined) throw new UsageError('--once with --kubeconfig needs --push.')
  return {
    manifests: values.manifests ?? demoFleet,
    fleet: values.fleet ?? demoConfiguration,
    push: values.push ?? (real ? undefined : demoPush),
    pushGiven: values.push !== undefined,
    ...{ kubeconfig, context, cluster, once },
    demo: !(real || once || values.manifests || values.fleet || values.push),
    port: values.port === undefined ? defaultPort : portOf(values.port),
    portIsDefault: values.port === undefined,
    speed: real ? 1 : speedOf(values.speed),
    json: values.json ?? false,
    data: values.data,
    help: values.help ?? false,
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  return readArguments({
    args: [...args],
    options: {
      ...{ manifests: text, push: text, fleet: text, kubeconfig: text, context: text, cluster: text, port: text },
      ...{ speed: text, data: text, json: flag, once: flag, help: { ...flag, short: 'h' } },
    },
  }).values
}

function portOf(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new UsageError(`--port ${text} is no port; give a number from 0 to 65535.`)
}

function speedOf(text: string | undefined): number {
  if (text === undefined) return defaultSpeed
  const speed = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && speed >= 0.1 && speed <= 1_000) return speed
  throw new UsageError(`--speed ${text} is no speed; give a number from 0.1 to 1000.`)
}
