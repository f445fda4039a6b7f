import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { isJson, readArguments, UsageError } from '../../command-line.ts'

/** What `npm run check:cluster` was asked for. */
export interface Options {
  readonly kubeconfig: string
  /** Undefined: the kubeconfig's current one. */
  readonly context: string | undefined
  /** The permissions of Lockstep's groups, not those of the kubeconfig's user. */
  readonly groups: boolean
  /** Without the permissions to unlock the cluster is not what it should be. */
  readonly unlock: boolean
  /** One JSON document in place of text. */
  readonly json: boolean
  readonly help: boolean
}

export const helpText = `Looks whether a cluster has what Lockstep needs: permissions, CRDs, controllers and their versions; and says what is
missing, with the next step. It only reads, and asks with rights that every user of a cluster has.

  npm run check:cluster -- [options]

Options:
  --kubeconfig FILE  default: as kubectl, $KUBECONFIG or ~/.kube/config
  --context NAME     context of the kubeconfig; default: its current one
  --groups           the permissions of the groups lockstep, lockstep-locks and lockstep-unlock, as Lockstep's functions on
                     AWS have them; default: those of the kubeconfig's user, as npm start -- --kubeconfig has them.
                     Takes the right to create subjectaccessreviews, which an admin has
  --unlock           that unlocks are not granted is a failure too; default: then locks are judged, and none is unlocked
  -o json            one JSON document on standard output; text is the default
  -h, --help         this text

Ends with:
  0  everything that Lockstep needs is there
  1  something that it needs is missing
  2  it cannot be told: no answer, credentials that the cluster does not know, a usage error

Examples:
  npm run check:cluster
  npm run check:cluster -- --context staging --groups
  npm run check:cluster -- --context production --groups --unlock
  npm run -s check:cluster -- -o json | jq -r '.problems[].message'
`

/** Reads the arguments after `npm run check:cluster --`. Throws UsageError. */
export function parseOptions(args: readonly string[], environment: NodeJS.ProcessEnv = process.env): Options {
  const { help = false, output, kubeconfig, context, groups = false, unlock = false } = parse(args)
  const json = isJson(output)
  return {
    kubeconfig: help ? '' : (kubeconfig ?? usualKubeconfig(environment)),
    ...{ context, groups, unlock, json, help },
  }
}

function usualKubeconfig({ KUBECONFIG }: NodeJS.ProcessEnv): string {
  const [file = join(homedir(), '.kube', 'config'), ...others] = (KUBECONFIG ?? '').split(delimiter).filter(Boolean)
  if (others.length > 0) throw new UsageError('KUBECONFIG names several files; give one with --kubeconfig.')
  return file
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  return readArguments({
    args: [...args],
    options: {
      ...{ kubeconfig: text, context: text, groups: flag, unlock: flag },
      ...{ output: { ...text, short: 'o' }, help: { ...flag, short: 'h' } },
    },
  }).values
}
