import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { crdOf, isOlder, kindRequirements, oldest, refusedOf, releaseText, type Verdict } from '../requirements.ts'
import type { Answered, Survey } from '../survey.ts'

export type Status = 'ok' | 'missing' | 'too old' | 'not ready' | 'unknown'

/** What `npm run check:cluster -- -o json` prints. */
export interface CheckReport {
  readonly cluster: string
  /** The API server's URL. */
  readonly server: string
  /** As whom the API server knows the credentials that asked; null where it does not tell. */
  readonly askedAs: string | null
  /** Whose permissions these are. */
  readonly permissionsOf: 'credentials' | 'groups'
  readonly versions: readonly VersionLine[]
  readonly crds: readonly CrdLine[]
  /** Deployments of Flux and tofu-controller, as their labels tell; null where these credentials may not list Deployments. */
  readonly controllers: readonly ControllerLine[] | null
  readonly permissions: {
    /** Of infra/cluster. */
    readonly 'observe and order': PermissionLine
    /** Of infra/cluster/unlock. */
    readonly unlock: PermissionLine
  }
  /** Nothing that Lockstep needs is missing. */
  readonly ok: boolean
  /** What is missing, and what to do about it. */
  readonly problems: readonly { readonly name: string; readonly message: string }[]
  /** What Lockstep will leave out here. */
  readonly warnings: readonly string[]
}

export interface VersionLine {
  readonly of: keyof typeof oldest
  readonly version: string | null
  /** The oldest that is supported. */
  readonly needs: string
  readonly status: Status
}

export interface CrdLine {
  readonly name: string
  /** The versions that it is served at. */
  readonly served: readonly string[]
  readonly needs: string
  readonly status: Status
}

export interface ControllerLine {
  readonly namespace: string
  readonly name: string
  readonly version: string | null
  readonly ready: number
  readonly replicas: number
  readonly status: Status
}

export interface PermissionLine {
  readonly granted: boolean
  /** How many of how many. */
  readonly count: number
  readonly of: number
  /** `patch deployments.apps; delete pods`; empty where all are granted. */
  readonly missing: string
}

/** `needsUnlock`: that nothing can be unlocked is a problem too, and not just something that is left out. */
export function reportOf(survey: Survey, verdict: Verdict, needsUnlock: boolean): CheckReport {
  const { noUnlocks } = verdict
  const problems = verdict.problems.map(({ name, message }) => ({ name, message }))
  if (noUnlocks && needsUnlock) problems.push({ name: 'UnlockPermissionsMissing', message: noUnlocks })
  return {
    ...{ cluster: survey.cluster, server: survey.server, askedAs: survey.user?.name ?? null },
    permissionsOf: survey.of === 'credentials' ? 'credentials' : 'groups',
    versions: [
      versionLine('Kubernetes', survey.kubernetes),
      versionLine('Flux', survey.flux),
      versionLine('tofu-controller', survey.tofuController),
    ],
    crds: crdLines(survey),
    controllers: survey.controllers ? survey.controllers.map(controllerLine) : null,
    permissions: {
      'observe and order': permissionLine(survey.permissions),
      unlock: permissionLine(survey.unlockPermissions),
    },
    ...{ ok: problems.length === 0, problems },
    warnings: [...verdict.warnings, ...notReady(survey), ...(noUnlocks && !needsUnlock ? [noUnlocks] : [])],
  }
}

function versionLine(of: VersionLine['of'], version: string | undefined): VersionLine {
  const needs = releaseText(oldest[of])
  if (version === undefined) return { of, version: null, needs, status: 'unknown' }
  return { of, version, needs, status: isOlder(version, oldest[of]) ? 'too old' : 'ok' }
}

function crdLines({ kinds }: Survey): CrdLine[] {
  return kindRequirements.map(({ kind }) => {
    const served = kinds[kind]
    const needs = resources[kind].version
    const status = served.length === 0 ? 'missing' : served.includes(needs) ? 'ok' : 'too old'
    return { name: crdOf(kind), served, needs, status }
  })
}

function controllerLine(controller: NonNullable<Survey['controllers']>[number]): ControllerLine {
  const { version = null, ready, replicas } = controller
  return { ...controller, version, status: ready > 0 && ready >= replicas ? 'ok' : 'not ready' }
}

function notReady({ controllers = [] }: Survey): string[] {
  return controllers
    .map(controllerLine)
    .filter(({ status }) => status !== 'ok')
    .map(
      ({ namespace, name, ready, replicas }) =>
        `Deployment/${namespace}/${name} has ${ready} of ${replicas} pods ready: nothing of its kinds reconciles. See kubectl -n ${namespace} describe deployment ${name}.`,
    )
}

function permissionLine(answers: readonly Answered[]): PermissionLine {
  const count = answers.filter(({ allowed }) => allowed).length
  return { granted: count === answers.length, count, of: answers.length, missing: refusedOf(answers) }
}
