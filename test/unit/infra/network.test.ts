import { Template } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { LockstepStack } from '../../../infra/aws/lockstep-stack.ts'
import { addRulePacks } from '../../../infra/aws/rule-packs.ts'
import { fleetFile, newApp } from '../../fixtures/synthesized.ts'

const subnets = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d', 'subnet-2a1b2c3d']
const network = { vpc: 'vpc-0a1b2c3d', subnets, endpoints: { routeTables: ['rtb-0a1b2c3d'] } }
const written = {
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  account: '111111111111',
  clusters: [
    { name: 'a', eks: 'a', region: 'us-east-1', environment: 'test' },
    { ...{ name: 'b', eks: 'b', region: 'us-east-1', environment: 'test' }, account: '222222222222', externalId: 'x1' },
  ],
  locks: { dynamodb: ['terraform-state-lock'], s3: ['my-tfstate-bucket'] },
}

const app = newApp()
addRulePacks(app)
const template = Template.fromStack(new LockstepStack(app, 'Lockstep', fleetFile({ ...written, network })))
const all = (type: string) => Object.entries(template.findResources(type))
const inside = all('AWS::Lambda::Function').filter(([, { Properties }]) => Properties.VpcConfig)

describe('a fleet with a network', () => {
  it('has every function in it that reaches clusters, and no other one', () => {
    const reaching = all('AWS::Lambda::Function').filter(
      ([, { Properties }]) => Properties.Environment.Variables.CLUSTER_ROLE_ARN,
    )
    expect(inside.map(([id]) => id)).toEqual(reaching.map(([id]) => id))
    expect(inside).toHaveLength(21)
    for (const [, { Properties }] of inside) expect(Properties.VpcConfig.SubnetIds).toEqual(subnets)
  })

  it('lets functions out to port 443 only, and nobody in', () => {
    const [functions] = all('AWS::EC2::SecurityGroup').filter(([id]) => id.startsWith('NetworkFunctions'))
    expect(functions?.[1].Properties).toMatchObject({
      SecurityGroupEgress: [{ CidrIp: '0.0.0.0/0', IpProtocol: 'tcp', FromPort: 443, ToPort: 443 }],
    })
    expect(functions?.[1].Properties).not.toHaveProperty('SecurityGroupIngress')
    const ingress = all('AWS::EC2::SecurityGroupIngress')
    expect(ingress.map(([id]) => id)).toEqual([expect.stringMatching(/^EndpointsGroup/)])
  })

  it('lets Lambda connect a function, in its subnets, and never the function’s code', () => {
    const roles = inside.map(([, { Properties }]) => Properties.Role['Fn::GetAtt'][0])
    const policies = all('AWS::IAM::Policy').filter(([, { Properties }]) => roles.includes(Properties.Roles[0].Ref))
    expect(policies).toHaveLength(21)
    for (const [, { Properties }] of policies) {
      const statements: { Effect: string; Action: string | string[]; Resource: unknown; Condition?: object }[] =
        Properties.PolicyDocument.Statement
      const ofEc2 = statements.filter(({ Action }) => JSON.stringify(Action).includes('ec2:'))
      const allowed = ofEc2
        .filter(({ Effect }) => Effect === 'Allow')
        .flatMap(({ Action }) => Action)
        .filter((action) => action.startsWith('ec2:'))
      const [denied, ...others] = ofEc2.filter(({ Effect }) => Effect === 'Deny')
      expect(others).toEqual([])
      expect([denied?.Action].flat().sort()).toEqual([...new Set(allowed)].sort())
      expect(denied?.Condition).toEqual({ Null: { 'lambda:SourceFunctionArn': 'false' } })
      const creates = JSON.stringify(ofEc2.filter(({ Action }) => Action === 'ec2:CreateNetworkInterface'))
      for (const subnet of subnets) expect(creates).toContain(`:subnet/${subnet}`)
    }
  })
})

describe('its endpoints', () => {
  interface Endpoint {
    readonly ServiceName: string | { 'Fn::Join': [string, unknown[]] }
    readonly VpcEndpointType: string
    readonly PolicyDocument: { Statement: { Action: string | string[]; Condition: object }[] }
  }
  const endpoints = all('AWS::EC2::VPCEndpoint').map(([, { Properties }]) => Properties as Endpoint)
  const actions = endpoints.flatMap(({ PolicyDocument }) => PolicyDocument.Statement.flatMap(({ Action }) => Action))

  it('let through every call that a function in the network may make', () => {
    const roles = inside.map(([, { Properties }]) => Properties.Role['Fn::GetAtt'][0])
    const calls = all('AWS::IAM::Policy')
      .filter(([, { Properties }]) => roles.includes(Properties.Roles[0].Ref))
      .flatMap(([, { Properties }]) => Properties.PolicyDocument.Statement as { Action: string | string[] }[])
      .flatMap(({ Action }) => Action)
    // Lambda writes logs and traces, keeps lost events, and connects functions.
    const own = new Set(calls.filter((action) => !/^(logs|xray|sqs|ec2):/.test(action)))
    expect(own.size).toBeGreaterThan(15)
    expect([...own].filter((action) => !actions.includes(action))).toEqual([])
    expect(actions).toContain('eks:DescribeCluster')
  })

  it('let nobody through but Lockstep’s roles, in all of the fleet’s accounts', () => {
    expect(endpoints).toHaveLength(8)
    for (const { PolicyDocument } of endpoints) {
      for (const { Action, Condition } of PolicyDocument.Statement) {
        for (const action of [Action].flat()) expect(action).not.toContain('*')
        const condition = JSON.stringify(Condition)
        for (const account of ['111111111111', '222222222222'])
          expect(condition).toContain(`:iam::${account}:role/Lockstep-*`)
      }
    }
  })

  it('are in the subnets, or in their route tables', () => {
    const byType = Map.groupBy(endpoints, ({ VpcEndpointType }) => VpcEndpointType)
    for (const each of byType.get('Interface') ?? [])
      expect(each).toMatchObject({ SubnetIds: subnets, PrivateDnsEnabled: true })
    expect(byType.get('Gateway')).toHaveLength(2)
    for (const each of byType.get('Gateway') ?? [])
      expect(each).toMatchObject({ RouteTableIds: network.endpoints.routeTables })
  })
})

it('makes no endpoint where the network has its own way to AWS', () => {
  const { endpoints: _, ...other } = network
  const made = Template.fromStack(new LockstepStack(newApp(), 'Lockstep', fleetFile({ ...written, network: other })))
  made.resourceCountIs('AWS::EC2::VPCEndpoint', 0)
  made.resourceCountIs('AWS::EC2::SecurityGroup', 1)
})
