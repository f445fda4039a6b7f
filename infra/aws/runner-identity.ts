import { ArnFormat, Stack, Token } from 'aws-cdk-lib'
import { CfnPodIdentityAssociation } from 'aws-cdk-lib/aws-eks'
import {
  CfnManagedPolicy,
  CfnPolicy,
  type CfnRole,
  type IManagedPolicy,
  type IPrincipal,
  Role,
  ServicePrincipal,
  WebIdentityPrincipal,
} from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'

/** The service account that tofu-controller runs its runners as, where a Terraform object names no other. */
export const runnerServiceAccount = 'tf-runner'

/**
 * The namespace of the runner that holds the credentials, as a variable of IAM, for a prefix such as
 * `states/<runnerNamespace>/`. EKS Pod Identity says it in a session tag. With IRSA there is no such tag, and a
 * statement with the variable allows nothing: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
 */
// biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of IAM, and none of ours.
export const runnerNamespace = '${aws:PrincipalTag/kubernetes-namespace}'

/** By the cluster's OIDC provider: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html */
export interface IrsaIdentity {
  /**
   * `https://oidc.eks.us-east-1.amazonaws.com/id/…`, as `aws eks describe-cluster --query cluster.identity.oidc.issuer` tells
   * it. The account's provider for it must be there.
   */
  readonly issuer: string
}

/** By the agent on the cluster's nodes: https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html */
export interface PodIdentity {
  /** Name of an EKS cluster in the account and the region of the stack. Its add-on eks-pod-identity-agent must be there. */
  readonly cluster: string
}

export interface RunnerIdentityProps {
  readonly through: IrsaIdentity | PodIdentity
  /** Where the Terraform objects are: each named, none by a wildcard. */
  readonly namespaces: readonly string[]
  /** Default `tf-runner`. */
  readonly serviceAccount?: string
  /** What runners may make. AdministratorAccess and its like are refused. */
  readonly managedPolicies?: readonly IManagedPolicy[]
  /** What the role may never go beyond, whatever is granted to it. */
  readonly permissionsBoundary?: IManagedPolicy
}

/**
 * The role of tofu-controller's runners, for one service account in exactly these namespaces of exactly one cluster. It
 * may do nothing until something is granted to it, and synthesis fails where that is everything.
 *
 * Throws where no namespace is given, where one is no name, and where the issuer is no address.
 */
export class RunnerIdentity extends Construct {
  readonly role: Role
  /** What the service account must be annotated with in the cluster; nothing for Pod Identity. */
  readonly annotations: Readonly<Record<string, string>>

  constructor(scope: Construct, id: string, props: RunnerIdentityProps) {
    super(scope, id)
    const { through, namespaces, serviceAccount = runnerServiceAccount } = props
    const { managedPolicies = [], permissionsBoundary } = props
    if (namespaces.length === 0)
      throw new Error(`${this.node.path} has no namespaces; name those of the Terraform objects.`)
    for (const name of [...namespaces, serviceAccount]) this.checkName(name)
    const who = { namespaces, serviceAccount }
    this.role = new Role(this, 'Role', {
      assumedBy: 'issuer' in through ? irsa(Stack.of(this), through, who) : podIdentity(Stack.of(this), through, who),
      description: `Runners of tofu-controller: ${serviceAccount} in ${namespaces.join(', ')}`.slice(0, 1_000),
      managedPolicies: [...managedPolicies],
      ...(permissionsBoundary && { permissionsBoundary }),
    })
    this.annotations = 'issuer' in through ? { 'eks.amazonaws.com/role-arn': this.role.roleArn } : {}
    if ('cluster' in through) this.associate(through, who)
    this.node.addValidation({ validate: () => this.excesses() })
  }

  private associate({ cluster }: PodIdentity, { namespaces, serviceAccount }: Who): void {
    for (const namespace of namespaces)
      new CfnPodIdentityAssociation(this, `In-${namespace}`, {
        ...{ clusterName: cluster, namespace, serviceAccount, roleArn: this.role.roleArn },
      })
  }

  /** A wildcard would let in a namespace that somebody makes tomorrow. https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ */
  private checkName(name: string): void {
    if (/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(name)) return
    throw new Error(`${this.node.path}: "${name}" is no name of a namespace or service account; write each one out.`)
  }

  /** What of this role's policies, wherever in the app they are made, amounts to everything. */
  private excesses(): string[] {
    const stack = Stack.of(this)
    const own = this.role.node.defaultChild as CfnRole
    const attached = (stack.resolve(own.managedPolicyArns) ?? []) as unknown[]
    const names = attached.flatMap((arn) => /:iam::aws:policy\/(\S+?)"?[\]}]*$/.exec(JSON.stringify(arn))?.[1] ?? [])
    const documents = [
      ...((stack.resolve(own.policies) ?? []) as { policyDocument: unknown }[]).map((each) => each.policyDocument),
      ...this.node.root.node.findAll().flatMap((each) => documentFor(each, own)),
    ]
    return [
      ...names.filter((name) => everything.has(name)).map((name) => excess(this.node.path, `has the policy ${name}`)),
      ...documents
        .flatMap((document) => statementsOf(document))
        .filter(allowsEverything)
        .map(({ Action, NotAction }) =>
          excess(
            this.node.path,
            `is allowed ${asList(Action).join(', ') || `all but ${asList(NotAction).join(', ')}`} on everything`,
          ),
        ),
    ]
  }
}

interface Who {
  readonly namespaces: readonly string[]
  readonly serviceAccount: string
}

/** Both the audience and the subject: without the one, any token of the cluster would do; without the other, any pod. */
function irsa(stack: Stack, { issuer: given }: IrsaIdentity, { namespaces, serviceAccount }: Who): IPrincipal {
  const issuer = given.replace(/^https:\/\//, '')
  if (Token.isUnresolved(given) || !/^[a-z0-9.-]+\/[\w/-]+$/i.test(issuer))
    throw new Error(`The issuer "${given}" is no address; give it as aws eks describe-cluster tells it.`)
  const provider = stack.formatArn({
    ...{ service: 'iam', region: '', resource: 'oidc-provider', resourceName: issuer },
    arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
  })
  return new WebIdentityPrincipal(provider, {
    StringEquals: {
      [`${issuer}:aud`]: 'sts.amazonaws.com',
      [`${issuer}:sub`]: namespaces.map((namespace) => `system:serviceaccount:${namespace}:${serviceAccount}`),
    },
  })
}

/**
 * EKS for this one cluster, and of its session tags those that name the pod. An association that somebody makes for another
 * namespace, or from another cluster, gets nothing: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
 */
function podIdentity(stack: Stack, { cluster }: PodIdentity, { namespaces, serviceAccount }: Who): IPrincipal {
  const source = stack.formatArn({ service: 'eks', resource: 'cluster', resourceName: cluster })
  return new ServicePrincipal('pods.eks.amazonaws.com', {
    conditions: {
      StringEquals: {
        'aws:SourceAccount': stack.account,
        'aws:RequestTag/kubernetes-namespace': [...namespaces],
        'aws:RequestTag/kubernetes-service-account': serviceAccount,
      },
      ArnEquals: { 'aws:SourceArn': source },
    },
  }).withSessionTags()
}

/** Policies of AWS that allow everything, or to allow oneself everything. */
const everything: ReadonlySet<string> = new Set(['AdministratorAccess', 'IAMFullAccess', 'PowerUserAccess'])

interface Statement {
  readonly Effect: string
  readonly Action?: string | readonly string[]
  readonly NotAction?: string | readonly string[]
  readonly Resource?: unknown
  readonly NotResource?: unknown
}

const asList = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value as T]

/** Whoever means everything can write it in many ways; IAM reads actions without regard to case. */
const anyAction = /^(?:\*|\*:\*|iam:\*+)$/i
/** `*`, and an ARN of which nothing is said but the partition. */
const anyResource = /^(?:\*+|arn:[^:]*(?::\**)+)$/

function allowsEverything({ Effect, Action, NotAction, Resource, NotResource }: Statement): boolean {
  const isAny = (resource: unknown) => typeof resource === 'string' && anyResource.test(resource)
  const anywhere = NotResource !== undefined || asList(Resource).some(isAny)
  const anything = NotAction !== undefined || asList(Action).some((action) => anyAction.test(action))
  return Effect === 'Allow' && anywhere && anything
}

/** The document of a policy that is attached to that role, in CloudFormation's words. */
function documentFor(construct: unknown, role: CfnRole): unknown[] {
  if (!(construct instanceof CfnPolicy) && !(construct instanceof CfnManagedPolicy)) return []
  const { stack } = construct
  const roles = (stack.resolve(construct.roles) ?? []) as unknown[]
  const isAttached = roles.some((each) => JSON.stringify(each) === JSON.stringify(stack.resolve(role.ref)))
  const isListed = ((stack.resolve(role.managedPolicyArns) ?? []) as unknown[]).some(
    (arn) => JSON.stringify(arn) === JSON.stringify(stack.resolve(construct.ref)),
  )
  return isAttached || isListed ? [stack.resolve(construct.policyDocument)] : []
}

function statementsOf(document: unknown): readonly Statement[] {
  return asList((document as { Statement?: Statement | readonly Statement[] }).Statement)
}

function excess(path: string, what: string): string {
  return `The runners of ${path} ${what}: whoever can merge a Terraform object could do anything in the account. Grant what the modules need instead: start from the plan's calls in CloudTrail (IAM Access Analyzer makes a policy of them), and set a permissionsBoundary.`
}
