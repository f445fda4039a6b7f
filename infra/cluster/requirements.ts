import { LockstepError } from '../../functions/lib/errors.ts'
import { type Kind, resources } from '../../functions/lib/kubernetes/cluster.ts'
import { resourceText } from './permissions.ts'
import type { Answered, Survey } from './survey.ts'

/** What is wrong with a cluster, and what Lockstep will leave out there. */
export interface Verdict {
  /** Lockstep cannot work with any of these. */
  readonly problems: readonly LockstepError[]
  /** Sentences, without the cluster's name. */
  readonly warnings: readonly string[]
  /** Why nothing is unlocked there, and what to do for it, in the same way; undefined where unlocks can be. */
  readonly noUnlocks: string | undefined
}

interface Release {
  readonly major: number
  readonly minor: number
}

/**
 * The oldest versions that Lockstep works with. Flux 2.6 is the first to serve every kind at the version that is
 * asked for (OCIRepository v1), and it needs Kubernetes 1.31: https://fluxcd.io/flux/installation/#prerequisites
 */
export const oldest = {
  Kubernetes: { major: 1, minor: 31 },
  Flux: { major: 2, minor: 6 },
  'tofu-controller': { major: 0, minor: 16 },
} as const satisfies Record<string, Release>

type Provider = 'Flux' | 'tofu-controller'

const manuals: Record<Provider, string> = {
  Flux: 'https://fluxcd.io/flux/installation/',
  'tofu-controller': 'https://flux-iac.github.io/tofu-controller/getting_started/',
}

interface KindRequirement {
  readonly kind: Kind
  readonly from: Provider
  /** What Lockstep leaves out where the kind is not served; undefined: without it there is nothing to do. */
  readonly without?: string
}

export const kindRequirements: readonly KindRequirement[] = [
  { kind: 'GitRepository', from: 'Flux' },
  { kind: 'Kustomization', from: 'Flux' },
  { kind: 'OCIRepository', from: 'Flux', without: 'what an OCIRepository feeds is not followed to a commit' },
  { kind: 'HelmChart', from: 'Flux', without: 'charts are not followed to a commit' },
  { kind: 'HelmRelease', from: 'Flux', without: 'no HelmRelease is put in order' },
  { kind: 'Terraform', from: 'tofu-controller', without: 'no Terraform object is put in order' },
]

/**
 * Compares a survey with what Lockstep needs. `needed` names the objects that cannot do without a kind:
 * `Kustomization/flux-system/apps depends on Terraform/flux-system/vpc`.
 */
export function judge(survey: Survey, needed: ReadonlyMap<Kind, readonly string[]>): Verdict {
  const missing = kindRequirements.filter(({ kind }) => survey.kinds[kind].length === 0)
  const hasFlux = !missing.some(({ without }) => without === undefined)
  const unmet = missing.filter(
    ({ kind, from, without }) => without === undefined || needed.has(kind) || (from === 'Flux' && !hasFlux),
  )
  const problems = [
    kubernetesProblem(survey),
    missingProblem('Flux', unmet, needed),
    unsupportedProblem('Flux', survey, survey.flux),
    missingProblem('tofu-controller', unmet, needed),
    unsupportedProblem('tofu-controller', survey, survey.tofuController),
    permissionsProblem(survey),
  ]
  const warnings = missing
    .filter((requirement) => !unmet.includes(requirement))
    .map(({ kind, from, without }) => `The CRD ${crdOf(kind)} (${from}) is not installed: ${without}.`)
  return { problems: problems.flatMap((problem) => problem ?? []), warnings, noUnlocks: noUnlocks(survey) }
}

function kubernetesProblem({ kubernetes }: Survey): LockstepError | undefined {
  if (!isOlder(kubernetes, oldest.Kubernetes)) return undefined
  return new LockstepError(
    'KubernetesUnsupported',
    `Its Kubernetes is ${kubernetes}, and Lockstep supports ${releaseText(oldest.Kubernetes)} and later.`,
    'Upgrade the cluster.',
  )
}

const names = {
  Flux: { missing: 'FluxMissing', unsupported: 'FluxUnsupported' },
  'tofu-controller': { missing: 'TofuControllerMissing', unsupported: 'TofuControllerUnsupported' },
}

function missingProblem(
  provider: Provider,
  unmet: readonly KindRequirement[],
  needed: ReadonlyMap<Kind, readonly string[]>,
): LockstepError | undefined {
  const kinds = unmet.filter(({ from }) => from === provider).map(({ kind }) => kind)
  if (kinds.length === 0) return undefined
  const reasons = kinds.flatMap((kind) => needed.get(kind) ?? [])
  const why = reasons.length > 0 ? `, and ${shortened(reasons, '; ')}` : ''
  return new LockstepError(
    names[provider].missing,
    `It lacks ${provider}: not installed are the CRDs ${kinds.map(crdOf).join(', ')}${why}.`,
    `Install ${provider} ${releaseText(oldest[provider])} or later (${manuals[provider]}).`,
  )
}

function unsupportedProblem(
  provider: Provider,
  { kinds }: Survey,
  version: string | undefined,
): LockstepError | undefined {
  const wrong = kindRequirements
    .filter(({ kind, from }) => from === provider && kinds[kind].length > 0)
    .filter(({ kind }) => !kinds[kind].includes(resources[kind].version))
    .map(({ kind }) => `${kind} is served as ${kinds[kind].join(', ')}, not as ${resources[kind].version}`)
  const tooOld = version !== undefined && isOlder(version, oldest[provider])
  if (wrong.length === 0 && !tooOld) return undefined
  const which = version === undefined ? '' : ` (${version})`
  return new LockstepError(
    names[provider].unsupported,
    `Its ${provider}${which} is not one that Lockstep supports${wrong.length > 0 ? `: ${wrong.join('; ')}` : ''}.`,
    `Upgrade ${provider} to ${releaseText(oldest[provider])} or later (${manuals[provider]}).`,
  )
}

function permissionsProblem({ of, user, permissions }: Survey): LockstepError | undefined {
  const what = refusedOf(permissions)
  if (what === '') return undefined
  if (of !== 'credentials') {
    const message = `Members of ${of.join(' and ')} may not ${what}.`
    return new LockstepError('PermissionsMissing', message, 'Have an admin run kubectl apply -k infra/cluster.')
  }
  const who = user ? `${user.name} (groups: ${shortened(user.groups, ', ') || 'none'})` : 'These credentials'
  return new LockstepError(
    'PermissionsMissing',
    `${who} may not ${what}.`,
    'Have an admin run kubectl apply -k infra/cluster, and come in as a member of the groups lockstep and lockstep-locks (EKS: by an access entry).',
  )
}

function noUnlocks({ of, unlockPermissions }: Survey): string | undefined {
  const what = refusedOf(unlockPermissions)
  if (what === '') return undefined
  const isSelf = of === 'credentials'
  const who = isSelf ? 'these credentials' : 'members of lockstep-unlock'
  const next = isSelf ? ', and come in as group lockstep-unlock too' : ''
  return `Locks are judged, and none is unlocked: ${who} may not ${what}. To have them unlocked, run kubectl apply -k infra/cluster/unlock${next}.`
}

/** `get, patch deployments.apps; delete pods`; empty where everything is allowed. */
export function refusedOf(answers: readonly Answered[]): string {
  const refused = new Map<string, string[]>()
  for (const { permission, allowed } of answers) {
    if (allowed) continue
    const resource = resourceText(permission)
    refused.set(resource, [...(refused.get(resource) ?? []), permission.verb])
  }
  return [...refused].map(([resource, verbs]) => `${verbs.join(', ')} ${resource}`).join('; ')
}

const shownAtMost = 5

function shortened(texts: readonly string[], separator: string): string {
  const rest = texts.length - shownAtMost
  return [...texts.slice(0, shownAtMost), ...(rest > 0 ? [`and ${rest} more`] : [])].join(separator)
}

export function crdOf(kind: Kind): string {
  return `${resources[kind].plural}.${resources[kind].group}`
}

/**
 * Whether a version such as `v1.31.2-eks-1a2b3c4` is older. One that cannot be read is not, nor is 0.0.0, which is what
 * programs call themselves that were built without a version.
 */
export function isOlder(version: string, { major, minor }: Release): boolean {
  const [, itsMajor, itsMinor] = /^v?(?!0\.0\.0)(\d+)\.(\d+)/.exec(version) ?? []
  if (itsMajor === undefined) return false
  return Number(itsMajor) < major || (Number(itsMajor) === major && Number(itsMinor) < minor)
}

export function releaseText({ major, minor }: Release): string {
  return `${major}.${minor}`
}
