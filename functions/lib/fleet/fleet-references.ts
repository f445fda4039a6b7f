import * as z from 'zod'
import { nearest } from '../nearest.ts'
import { type FleetProblem, shown } from './fleet-problem.ts'

// What refers to what, read past all other mistakes, so that these problems are in the same error.
const name = z.string().optional().catch(undefined)
const names = z.array(name).catch([])
const places = (key: string) =>
  z
    .array(
      z
        .preprocess(
          (raw) => (typeof raw === 'string' ? { name: raw } : { ...Object(raw), name: Object(raw)[key] }),
          z.object({ name, region: name }),
        )
        .catch({ name: undefined, region: undefined }),
    )
    .catch([])
const people = z
  .array(
    z
      .preprocess(
        (raw) => (typeof raw === 'string' ? { name: raw } : raw),
        z.object({ name, email: name, github: name }),
      )
      .catch({ name: undefined, email: undefined, github: undefined }),
  )
  .catch([])
const namesSchema = z
  .object({
    account: name,
    network: z
      .object({ subnets: names, endpoints: z.object({ routeTables: names }).catch({ routeTables: [] }) })
      .catch({ subnets: [], endpoints: { routeTables: [] } }),
    repositories: z.array(z.object({ name, branches: names }).catch({ name: undefined, branches: [] })).catch([]),
    layers: names,
    clusters: z
      .array(
        z
          .object({
            ...{ name, eks: name, region: name, account: name, externalId: name, environment: name },
            ...{ after: names, repositories: names },
          })
          .catch({
            ...{ name: undefined, eks: undefined, region: undefined, account: undefined, externalId: undefined },
            ...{ environment: undefined, after: [], repositories: [] },
          }),
      )
      .catch([]),
    deadlines: z.object({ layers: z.record(z.string(), z.unknown()).catch({}) }).catch({ layers: {} }),
    notifications: z.object({ emails: names }).catch({ emails: [] }),
    locks: z
      .object({
        ...{ dynamodb: places('table'), s3: places('bucket'), policy: z.record(z.string(), z.unknown()).catch({}) },
        approvers: people,
      })
      .catch({ dynamodb: [], s3: [], policy: {}, approvers: [] }),
    plans: z
      .object({ policy: z.record(z.string(), z.unknown()).catch({}), approvers: people })
      .catch({ policy: {}, approvers: [] }),
    waves: z.object({ approvers: people }).catch({ approvers: [] }),
  })
  .catch({
    ...{ account: undefined, repositories: [], layers: [], clusters: [], deadlines: { layers: {} } },
    network: { subnets: [], endpoints: { routeTables: [] } },
    locks: { dynamodb: [], s3: [], policy: {}, approvers: [] },
    plans: { policy: {}, approvers: [] },
    waves: { approvers: [] },
    notifications: { emails: [] },
  })

type Names = z.output<typeof namesSchema>

/** Names that nothing has, that come twice, or that go round in a circle: in whatever was written. */
export function referenceProblems(raw: unknown): FleetProblem[] {
  const fleet = namesSchema.parse(raw)
  const repositories = fleet.repositories.map((each) => each.name)
  const clusters = fleet.clusters.map((each) => each.name)
  return [
    // GitHub does not tell names apart by case.
    ...duplicates(
      repositories.map((each) => each?.toLowerCase()),
      (index) => `repositories[${index}].name`,
    ),
    ...fleet.repositories.flatMap(({ branches }, at) =>
      duplicates(branches, (index) => `repositories[${at}].branches[${index}]`),
    ),
    ...duplicates(fleet.layers, (index) => `layers[${index}]`),
    ...duplicates(clusters, (index) => `clusters[${index}].name`),
    // Two names for one cluster would let two rollouts claim it at once.
    ...duplicates(
      fleet.clusters.map(({ eks, region, account }) => {
        const place = account === undefined ? region : `${region} of ${account}`
        return eks && region ? `${eks} in ${place}` : undefined
      }),
      (index) => `clusters[${index}].eks`,
    ),
    ...fleet.clusters.flatMap((each, at) => [
      ...unknownNames('cluster', each.after, clusters, (index) => `clusters[${at}].after[${index}]`),
      ...unknownNames(
        'repository',
        each.repositories,
        repositories,
        (index) => `clusters[${at}].repositories[${index}]`,
      ),
      ...duplicates(each.after, (index) => `clusters[${at}].after[${index}]`),
      ...duplicates(each.repositories, (index) => `clusters[${at}].repositories[${index}]`),
    ]),
    ...cycles(fleet.clusters),
    ...accountProblems(fleet),
    ...duplicates(fleet.network.subnets, (index) => `network.subnets[${index}]`),
    ...duplicates(fleet.network.endpoints.routeTables, (index) => `network.endpoints.routeTables[${index}]`),
    ...duplicates(
      fleet.locks.dynamodb.map(({ name, region = fleet.clusters[0]?.region }) => name && `${name} in ${region}`),
      (index) => `locks.dynamodb[${index}]`,
    ),
    // Their names are unique in all regions.
    ...duplicates(
      fleet.locks.s3.map((each) => each.name),
      (index) => `locks.s3[${index}]`,
    ),
    ...samePeople('locks', fleet.locks.approvers),
    ...samePeople('plans', fleet.plans.approvers),
    ...samePeople('waves', fleet.waves.approvers),
    ...unknownEnvironments('locks', fleet),
    ...unknownEnvironments('plans', fleet),
    ...duplicates(
      fleet.notifications.emails.map((each) => each?.toLowerCase()),
      (index) => `notifications.emails[${index}]`,
    ),
    ...Object.keys(fleet.deadlines.layers).flatMap((layer) =>
      unknownNames('layer', [layer], fleet.layers, () => `deadlines.layers.${layer}`),
    ),
  ]
}

/** Another account lets Lockstep in by a role that names our account and asks for an external id: one role, one id. */
function accountProblems({ account: own, clusters }: Names): FleetProblem[] {
  const elsewhere = clusters.findIndex(({ account }) => account !== undefined)
  const problems = clusters.flatMap(({ account, externalId }, at): FleetProblem[] => {
    const path = `clusters[${at}]`
    if (account === undefined) {
      if (externalId === undefined) return []
      return [
        {
          path: `${path}.externalId`,
          message: 'is for a cluster in another account; give "account" too, or leave it out',
        },
      ]
    }
    if (account === own)
      return [{ path: `${path}.account`, message: `is ${shown(account)}, which is Lockstep's own; leave it out` }]
    if (externalId === undefined) {
      const message = `is missing; give what the roles in account ${account} ask for, such as a random text`
      return [{ path: `${path}.externalId`, message }]
    }
    const first = clusters.findIndex((each) => each.account === account && each.externalId !== undefined)
    if (clusters[first]?.externalId === externalId) return []
    const message = `is not that of clusters[${first}], which is in the same account; give one id for each account`
    return [{ path: `${path}.externalId`, message }]
  })
  if (elsewhere < 0 || own !== undefined) return problems
  const message = `is missing, and clusters[${elsewhere}] is in another one; give the account that Lockstep is deployed to`
  return [{ path: 'account', message }, ...problems]
}

function duplicates(values: readonly (string | undefined)[], path: (index: number) => string): FleetProblem[] {
  return values.flatMap((value, index) => {
    const first = values.indexOf(value)
    if (value === undefined || first === index) return []
    return [{ path: path(index), message: `is ${shown(value)} again, as in ${path(first)}; give each one once` }]
  })
}

/** One person under two names, or two with one mailbox, could be both approvals. */
function samePeople(section: string, approvers: Names['locks']['approvers']): FleetProblem[] {
  const known = approvers.flatMap(({ name, email, github }, of) =>
    Object.entries({ name, email, github }).flatMap(([key, value]) =>
      value === undefined ? [] : [{ of, path: `${section}.approvers[${of}].${key}`, id: value.toLowerCase() }],
    ),
  )
  return known.flatMap(({ of, path, id }) => {
    const first = known.find((other) => other.id === id && other.of < of)
    if (!first) return []
    return [{ path, message: `is ${shown(id)} again, as in ${first.path}; name each person once` }]
  })
}

function unknownEnvironments(section: 'locks' | 'plans', fleet: Names): FleetProblem[] {
  const known = fleet.clusters.map((each) => each.environment)
  return Object.keys(fleet[section].policy).flatMap((environment) =>
    unknownNames('environment', [environment], known, () => `${section}.policy.${environment}`),
  )
}

function unknownNames(
  what: string,
  values: readonly (string | undefined)[],
  known: readonly (string | undefined)[],
  path: (index: number) => string,
): FleetProblem[] {
  const candidates = known.filter((each) => each !== undefined)
  return values.flatMap((value, index) => {
    if (value === undefined || candidates.includes(value)) return []
    const meant = nearest(value, candidates)
    const hint = meant ? `did you mean "${meant}"?` : `known are ${candidates.slice(0, 10).join(', ') || 'none'}`
    return [{ path: path(index), message: `names ${shown(value)}, which is no ${what} of this fleet; ${hint}` }]
  })
}

/** Each cycle of `after` once, at the cluster that closes it. */
function cycles(clusters: Names['clusters']): FleetProblem[] {
  const problems: FleetProblem[] = []
  const done = new Set<string>()
  const visit = (cluster: string, path: readonly string[]) => {
    if (done.has(cluster)) return
    const index = clusters.findIndex((each) => each.name === cluster)
    const way = [...path, cluster]
    for (const before of clusters[index]?.after ?? []) {
      if (before === undefined) continue
      const start = way.indexOf(before)
      if (start < 0) {
        visit(before, way)
        continue
      }
      const cycle = [...way.slice(start), before].join(' after ')
      problems.push({ path: `clusters[${index}].after`, message: `closes a cycle: ${cycle}; remove one of these` })
    }
    done.add(cluster)
  }
  for (const { name } of clusters) if (name !== undefined) visit(name, [])
  return problems
}
