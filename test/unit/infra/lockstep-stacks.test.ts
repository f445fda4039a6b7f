import type { NestedStack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { clusterWorks, groupsOf } from '../../../infra/aws/cluster-work.ts'
import { lockstepStacks } from '../../../infra/aws/lockstep-stacks.ts'
import { fleetFile, newApp } from '../../fixtures/synthesized.ts'

const us = { name: 'us', eks: 'us-eks', region: 'us-east-1', environment: 'test' }
const eu = { ...us, name: 'eu', eks: 'eu-eks', region: 'eu-west-1' }
const account = { account: '222222222222', externalId: 'shared/secret:1' }
const written = {
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [us, eu],
}

interface Synthesized {
  readonly Resources: Readonly<Record<string, { readonly Type: string; readonly Properties: unknown }>>
}

function made(fleet: object) {
  const stacks = lockstepStacks(newApp(), fleetFile(fleet))
  const all = [stacks.lockstep, ...stacks.accounts, ...stacks.clusters]
  return {
    stacks,
    all,
    templates: new Map(all.map((stack) => [stack.stackName, Template.fromStack(stack).toJSON() as Synthesized])),
  }
}

interface Entry {
  readonly ClusterName: string
  readonly PrincipalArn: { 'Fn::Join': [string, unknown[]] } | string
  readonly KubernetesGroups: string[]
}
function resourcesOf<T>(template: Synthesized | undefined, type: string): T[] {
  const all = Object.values(template?.Resources ?? {})
  return all.filter(({ Type }) => Type === type).map(({ Properties }) => Properties as T)
}
const schedule = 'AWS::Scheduler::Schedule'
const entriesOf = (template: Synthesized | undefined) => resourcesOf<Entry>(template, 'AWS::EKS::AccessEntry')

describe('access entries', () => {
  it('are one for each cluster and role, in the region of the cluster, after the roles', () => {
    const { stacks, templates } = made(written)
    expect([...templates.keys()]).toEqual(['Lockstep', 'Lockstep-Clusters-us-east-1', 'Lockstep-Clusters-eu-west-1'])
    expect(stacks.clusters.map(({ region }) => region)).toEqual(['us-east-1', 'eu-west-1'])
    for (const stack of stacks.clusters) expect(stack.dependencies).toContain(stacks.lockstep)
    expect(entriesOf(templates.get('Lockstep'))).toEqual([])
    const entries = entriesOf(templates.get('Lockstep-Clusters-eu-west-1'))
    expect(entries).toHaveLength(3)
    for (const [at, work] of clusterWorks.entries()) {
      expect(entries[at]).toMatchObject({ ClusterName: 'eu-eks', Type: 'STANDARD', KubernetesGroups: groupsOf[work] })
      expect(JSON.stringify(entries[at]?.PrincipalArn)).toContain(`{"Ref":"AWS::AccountId"},":role/Lockstep-${work}"`)
    }
  })

  it('and the roles of other accounts have the tags of the fleet, too', () => {
    const elsewhere = { ...eu, ...account }
    const { templates } = made({ ...written, account: '111111111111', clusters: [us, elsewhere], tags: { team: 'a' } })
    const tagged = [...templates]
      .filter(([name]) => name !== 'Lockstep')
      .flatMap(([, { Resources }]) => {
        const types = ['AWS::EKS::AccessEntry', 'AWS::IAM::Role']
        return Object.values(Resources).filter(({ Type }) => types.includes(Type))
      })
    expect(tagged).toHaveLength(3 * 3)
    for (const { Properties } of tagged) expect(Properties).toMatchObject({ Tags: [{ Key: 'team', Value: 'a' }] })
  })

  it('of clusters whose names differ by a hyphen only are all there', () => {
    const clusters = ['a-b', 'ab'].map((name) => ({ ...us, name, eks: name }))
    const { templates } = made({ ...written, clusters })
    expect(entriesOf(templates.get('Lockstep-Clusters-us-east-1'))).toHaveLength(6)
  })
})

it.each([
  { clusters: 10, stacksOfEntries: 1, partsOfSweeps: 1 },
  { clusters: 100, stacksOfEntries: 2, partsOfSweeps: 1 },
  { clusters: 500, stacksOfEntries: 8, partsOfSweeps: 2 },
])('stacks of $clusters clusters stay within what they may hold', ({ clusters, stacksOfEntries, partsOfSweeps }) => {
  const names = Array.from({ length: clusters }, (_, index) => `cluster-${index}-of-a-fleet`)
  const { templates, stacks } = made({
    ...written,
    clusters: names.map((name) => ({ ...us, name, eks: `${name}-with-a-long-name-in-eks` })),
  })
  expect(stacks.clusters).toHaveLength(stacksOfEntries)
  expect([...templates.values()].flatMap(entriesOf)).toHaveLength(3 * clusters)
  const sweeps = stacks.lockstep.sweeps.parts.map((part) => Template.fromStack(part).toJSON() as Synthesized)
  expect(sweeps).toHaveLength(partsOfSweeps)
  const swept = sweeps.flatMap((template) => resourcesOf<{ Target: { Input: string } }>(template, schedule))
  expect(swept.map(({ Target }) => JSON.parse(Target.Input).cluster).sort()).toEqual(names.sort())
  for (const template of [...templates.values(), ...sweeps]) {
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    expect(Object.keys(template.Resources).length).toBeLessThan(500)
    expect(Buffer.byteLength(JSON.stringify(template, null, 1))).toBeLessThan(1_000_000)
    for (const { PolicyDocument } of resourcesOf<{ PolicyDocument: object }>(template, 'AWS::IAM::ManagedPolicy')) {
      // Partition and account are a few characters each, and references to them are not.
      const text = JSON.stringify(PolicyDocument).replaceAll(/\{"Fn::Join":\["",\[(.*?)\]\]\}/g, (_, parts) =>
        parts
          .replaceAll(/\{"Ref":"AWS::(\w+)"\}/g, '123456789012')
          .replaceAll('","', '')
          .replaceAll(/"?,"?/g, ''),
      )
      expect(text.length).toBeLessThan(6_144)
    }
  }
})

it('a cluster that comes leaves the others in their stacks', () => {
  const clusters = Array.from({ length: 500 }, (_, index) => ({ ...us, name: `c${index}`, eks: `c${index}` }))
  const parts = (of: readonly object[]) => made({ ...written, clusters: of }).stacks.lockstep.sweeps.parts
  const idsOf = (nested: NestedStack | undefined) =>
    Object.keys(nested ? Template.fromStack(nested).toJSON().Resources : {})
  const [before, after] = [parts(clusters.slice(1)), parts(clusters)]
  expect(after).toHaveLength(before.length)
  expect(after.flatMap(idsOf).length).toBe(before.flatMap(idsOf).length + 1)
  for (const [at, part] of before.entries()) expect(idsOf(after[at])).toEqual(expect.arrayContaining(idsOf(part)))
})

describe('another account', () => {
  const there = { ...eu, name: 'there', eks: 'their-eks', ...account }
  const { stacks, templates } = made({ ...written, account: '111111111111', clusters: [us, there] })
  interface Assumable {
    RoleName: string
    AssumeRolePolicyDocument: { Statement: Record<string, object>[] }
  }
  const roles = resourcesOf<Assumable>(templates.get('Lockstep-Account-222222222222'), 'AWS::IAM::Role')

  it('has roles that exactly the functions for that work take on, with its external id', () => {
    expect(stacks.accounts.map((stack) => [stack.account, stack.region])).toEqual([['222222222222', 'us-east-1']])
    expect(roles.map(({ RoleName }) => RoleName)).toEqual(clusterWorks.map((work) => `Lockstep-${work}`))
    const [orders] = roles.map(({ AssumeRolePolicyDocument }) => AssumeRolePolicyDocument.Statement)
    expect(orders).toHaveLength(1)
    expect(orders?.[0]).toMatchObject({
      ...{ Effect: 'Allow', Action: 'sts:AssumeRole' },
      Condition: { StringEquals: { 'sts:ExternalId': account.externalId } },
    })
    const named = JSON.stringify(orders?.[0]?.Condition).match(/role\/[\w-]+/g) ?? []
    expect(named).toEqual(stacks.lockstep.clusters.handlersOf('orders').map((handler) => `role/Lockstep-${handler}`))
    expect(JSON.stringify(orders?.[0]?.Principal)).toMatch(/:iam::111111111111:root/)
  })

  it('has its clusters’ access entries in a stack that comes after the roles', () => {
    const stack = stacks.clusters.find(({ account: its }) => its === '222222222222')
    expect(stack?.stackName).toBe('Lockstep-Clusters-222222222222-eu-west-1')
    expect(stack?.dependencies).toContain(stacks.accounts[0])
    expect(JSON.stringify(entriesOf(templates.get(stack?.stackName ?? '')))).toContain(
      ':iam::222222222222:role/Lockstep-orders',
    )
  })

  it('may be deployed to without CDK', () => {
    for (const stack of [...stacks.accounts, ...stacks.clusters]) {
      expect(templates.get(stack.stackName)).not.toHaveProperty('Rules')
      expect(templates.get(stack.stackName)).not.toHaveProperty('Parameters')
    }
  })

  it('lets a function take on the role there, under its own name', () => {
    const policies = resourcesOf(templates.get('Lockstep'), 'AWS::IAM::Policy')
    const statements = JSON.stringify(policies.filter((policy) => JSON.stringify(policy).includes('StepsPlanRole')))
    expect(statements).toContain('{"StringEquals":{"sts:RoleSessionName":"plan"}}')
    expect(statements).toContain(':iam::222222222222:role/Lockstep-orders')
  })
})

it('trusts in a role’s policy no more than IAM has room for', () => {
  const { templates } = made({ ...written, account: '111111111111', clusters: [{ ...us, ...account }] })
  const documents = [...templates.values()]
    .flatMap((template) => resourcesOf<{ AssumeRolePolicyDocument: object }>(template, 'AWS::IAM::Role'))
    .map(({ AssumeRolePolicyDocument }) => JSON.stringify(AssumeRolePolicyDocument))
  expect(documents.length).toBeGreaterThan(30)
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html ("Role trust policy length")
  for (const text of documents) expect(text.length).toBeLessThan(2_048)
})
