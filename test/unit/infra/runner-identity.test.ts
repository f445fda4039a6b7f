import { readFileSync } from 'node:fs'
import { App, Stack, Validations } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { Effect, ManagedPolicy, Policy, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, it } from 'vitest'
import { RunnerIdentity, type RunnerIdentityProps } from '../../../infra/aws/runner-identity.ts'

/** Checked, it does not synthesize where cdk-nag or the rules of CloudFormation find something; that takes a second. */
function newStack(checked: boolean): Stack {
  const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'))
  const app = new App({ context: { ...context, '@aws-cdk/core:validateAgainstDefaultRules': checked } })
  if (checked) Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  return new Stack(app, 'Test')
}

const podIdentity = { through: { cluster: 'prod-eks-01' }, namespaces: ['flux-system', 'team-a'] }
const issuer = 'oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE'
const irsa = { through: { issuer: `https://${issuer}` }, namespaces: ['flux-system', 'team-a'] }

function made(
  props: RunnerIdentityProps,
  grant: (identity: RunnerIdentity, stack: Stack) => void = () => {},
  checked = false,
) {
  const stack = newStack(checked)
  const identity = new RunnerIdentity(stack, 'Identity', props)
  grant(identity, stack)
  return { identity, stack, template: Template.fromStack(stack) }
}

const trustIn = (template: Template) =>
  Object.values(template.findResources('AWS::IAM::Role')).map(
    ({ Properties }) => Properties.AssumeRolePolicyDocument.Statement,
  )
const joined = (parts: unknown[]) => ({ 'Fn::Join': ['', parts] })
const [partition, account, region] = ['Partition', 'AccountId', 'Region'].map((name) => ({ Ref: `AWS::${name}` }))

describe('EKS Pod Identity', () => {
  it('is trusted for the service account of these namespaces of this cluster of this account, and nothing else', () => {
    expect(trustIn(made(podIdentity).template)).toEqual([
      [
        {
          Effect: 'Allow',
          Principal: { Service: 'pods.eks.amazonaws.com' },
          Action: ['sts:AssumeRole', 'sts:TagSession'],
          Condition: {
            StringEquals: {
              'aws:SourceAccount': account,
              'aws:RequestTag/kubernetes-namespace': ['flux-system', 'team-a'],
              'aws:RequestTag/kubernetes-service-account': 'tf-runner',
            },
            ArnEquals: {
              'aws:SourceArn': joined(['arn:', partition, ':eks:', region, ':', account, ':cluster/prod-eks-01']),
            },
          },
        },
      ],
    ])
  })

  it('is associated with each namespace, and needs nothing in the cluster', () => {
    const { template, identity } = made(podIdentity)
    template.resourceCountIs('AWS::EKS::PodIdentityAssociation', 2)
    for (const Namespace of podIdentity.namespaces)
      template.hasResourceProperties('AWS::EKS::PodIdentityAssociation', {
        ...{ ClusterName: 'prod-eks-01', Namespace, ServiceAccount: 'tf-runner' },
        RoleArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^IdentityRole'), 'Arn'] },
      })
    expect(identity.annotations).toEqual({})
  })
})

describe('IRSA', () => {
  it('is trusted for the audience of STS and exactly these subjects', () => {
    const { template } = made({ ...irsa, serviceAccount: 'runner' })
    expect(trustIn(template)).toEqual([
      [
        {
          Effect: 'Allow',
          Principal: { Federated: joined(['arn:', partition, ':iam::', account, `:oidc-provider/${issuer}`]) },
          Action: 'sts:AssumeRoleWithWebIdentity',
          Condition: {
            StringEquals: {
              [`${issuer}:aud`]: 'sts.amazonaws.com',
              [`${issuer}:sub`]: ['system:serviceaccount:flux-system:runner', 'system:serviceaccount:team-a:runner'],
            },
          },
        },
      ],
    ])
    template.resourceCountIs('AWS::EKS::PodIdentityAssociation', 0)
  })

  it('needs an annotation of the service account', () => {
    const { identity, stack } = made(irsa)
    expect(stack.resolve(identity.annotations)).toEqual({
      'eks.amazonaws.com/role-arn': { 'Fn::GetAtt': [expect.stringMatching(/^IdentityRole/), 'Arn'] },
    })
  })

  it('takes the issuer as AWS tells it, and nothing that would make another condition of it', () => {
    for (const wrong of ['', 'oidc', 'https://oidc.example.com/id/*', 'arn:aws:iam::1:oidc-provider/x'])
      expect(() => made({ ...irsa, through: { issuer: wrong } })).toThrow('is no address')
  })
})

it.each([[[]], [['*']], [['team-*']], [['Team']], [['a b']]])('refuses the namespaces %j', (namespaces) => {
  expect(() => made({ ...podIdentity, namespaces })).toThrow(
    namespaces.length === 0 ? 'no namespaces' : 'write each one',
  )
})

describe('a role that may do everything does not synthesize:', () => {
  const allow = (actions: string[], resources = ['*']) => new PolicyStatement({ actions, resources })
  const everything = /whoever can merge a Terraform object could do anything/

  it.each(['AdministratorAccess', 'PowerUserAccess', 'IAMFullAccess'])('%s, given or attached later', (name) => {
    const policy = ManagedPolicy.fromAwsManagedPolicyName(name)
    expect(() => made({ ...podIdentity, managedPolicies: [policy] })).toThrow(`has the policy ${name}`)
    expect(() => made(podIdentity, ({ role }) => role.addManagedPolicy(policy))).toThrow(everything)
  })

  it.each(['*', 'iam:*'])('a statement of its own with the action %s', (action) => {
    expect(() => made(podIdentity, ({ role }) => role.addToPolicy(allow([action])))).toThrow(
      new RegExp(`is allowed ${action.replaceAll('*', '\\*')} on everything`),
    )
  })

  it.each([
    ['IAM:*', '*'],
    ['iam:**', '*'],
    ['*', 'arn:aws:*'],
    ['iam:*', 'arn:*:*:*:*:*'],
    ['*', 'arn:aws:*:*::*'],
  ])('the same in other words: %s on %s', (action, resource) => {
    expect(() => made(podIdentity, ({ role }) => role.addToPolicy(allow([action], [resource])))).toThrow(everything)
  })

  it('everything but something', () => {
    const statement = new PolicyStatement({ notActions: ['iam:*'], resources: ['*'] })
    expect(() => made(podIdentity, ({ role }) => role.addToPolicy(statement))).toThrow('all but iam:* on everything')
  })

  it('a policy of the app, however it is attached', () => {
    const everywhere = allow(['*'])
    expect(() =>
      made(podIdentity, ({ role }, stack) => {
        new ManagedPolicy(stack, 'Policy', { statements: [everywhere], roles: [role] })
      }),
    ).toThrow(everything)
    expect(() =>
      made(podIdentity, ({ role }, stack) =>
        role.addManagedPolicy(
          new ManagedPolicy(stack, 'Policy', { document: new PolicyDocument({ statements: [everywhere] }) }),
        ),
      ),
    ).toThrow(everything)
    expect(() =>
      made(podIdentity, ({ role }, stack) =>
        role.attachInlinePolicy(new Policy(stack, 'Policy', { statements: [everywhere] })),
      ),
    ).toThrow(everything)
  })

  it('and one that may do much, but not everything, does', () => {
    const deny = new PolicyStatement({ effect: Effect.DENY, actions: ['*'], resources: ['*'] })
    const { template } = made(podIdentity, ({ role }, stack) => {
      role.addToPolicy(allow(['ec2:CreateVpc', 'ec2:DeleteVpc'], ['arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1']))
      role.addToPolicy(
        allow(['s3:*', 'iam:PassRole'], ['arn:aws:s3:::bucket/*', 'arn:aws:iam::111122223333:role/runners-*']),
      )
      role.addToPolicy(deny)
      // Of somebody else.
      const other = new RunnerIdentity(stack, 'Other', podIdentity)
      other.role.addToPolicy(deny)
    })
    template.resourceCountIs('AWS::IAM::Policy', 2)
  })
})

it.each([podIdentity, irsa])('passes cdk-nag and the rules of CloudFormation through $through', (props) => {
  expect(made(props, () => {}, true).template.findResources('AWS::IAM::Role')).not.toEqual({})
})
