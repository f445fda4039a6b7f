import { Stack } from 'aws-cdk-lib'
import {
  CfnVPCEndpoint,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  Port,
  SecurityGroup,
} from 'aws-cdk-lib/aws-ec2'
import { AnyPrincipal, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { FleetCluster } from '../../functions/lib/fleet.ts'
import { roleArn } from './cluster-work.ts'
import type { Network } from './network.ts'

const { EKS, EVENTBRIDGE, SECRETS_MANAGER, SNS, STEP_FUNCTIONS, STS } = InterfaceVpcEndpointAwsService

/** What functions in the network call. Logs, traces and lost events are Lambda's own doing, from outside of it. */
const interfaces = {
  eks: { service: EKS, actions: ['eks:DescribeCluster'] },
  events: { service: EVENTBRIDGE, actions: ['events:PutEvents'] },
  secretsmanager: { service: SECRETS_MANAGER, actions: ['secretsmanager:GetSecretValue'] },
  sns: { service: SNS, actions: ['sns:Publish'] },
  states: {
    service: STEP_FUNCTIONS,
    actions: ['states:SendTaskFailure', 'states:SendTaskHeartbeat', 'states:SendTaskSuccess', 'states:StartExecution'],
  },
  sts: { service: STS, actions: ['sts:AssumeRole'] },
}
const gateways = {
  dynamodb: {
    service: GatewayVpcEndpointAwsService.DYNAMODB,
    actions: [
      ...['BatchGetItem', 'DeleteItem', 'DescribeTable', 'GetItem', 'PartiQLInsert', 'PutItem', 'Query', 'Scan'],
    ].map((action) => `dynamodb:${action}`),
  },
  s3: {
    service: GatewayVpcEndpointAwsService.S3,
    actions: ['DeleteObject', 'GetObject', 'GetObjectVersion', 'ListBucket', 'ListBucketVersions', 'PutObject'].map(
      (action) => `s3:${action}`,
    ),
  },
}

export interface NetworkEndpointsProps {
  readonly network: Network
  /** Through which the tables and buckets of this region are reached. */
  readonly routeTables: readonly string[]
  readonly clusters: readonly FleetCluster[]
}

/**
 * A way to AWS for a network that has none, where it is Lockstep's own: in the whole VPC, the names of these services lead
 * here, and only Lockstep's roles get through, with the calls that its functions make. Endpoints are of one region: clusters,
 * tables and buckets in others have to be reached in another way.
 */
export class NetworkEndpoints extends Construct {
  constructor(scope: Construct, id: string, { network, routeTables, clusters }: NetworkEndpointsProps) {
    super(scope, id)
    const { vpcId } = network.vpc
    const group = new SecurityGroup(this, 'Group', {
      vpc: network.vpc,
      description: 'Lockstep: ways to AWS, for its functions only',
      allowAllOutbound: false,
    })
    group.addIngressRule(network.functions, Port.tcp(443), "Lockstep's functions")
    for (const [name, { service, actions }] of Object.entries(interfaces)) {
      new CfnVPCEndpoint(this, name, {
        ...{ vpcId, serviceName: service.name, vpcEndpointType: 'Interface', privateDnsEnabled: true },
        subnetIds: network.subnets.map(({ subnetId }) => subnetId),
        securityGroupIds: [group.securityGroupId],
        policyDocument: this.onlyLockstep(actions, clusters),
      })
    }
    for (const [name, { service, actions }] of Object.entries(gateways)) {
      new CfnVPCEndpoint(this, name, {
        ...{ vpcId, serviceName: service.name, vpcEndpointType: 'Gateway', routeTableIds: [...routeTables] },
        policyDocument: this.onlyLockstep(actions, clusters),
      })
    }
  }

  /** It grants nothing: it is a limit to what roles are granted. */
  private onlyLockstep(actions: string[], clusters: readonly FleetCluster[]): PolicyDocument {
    const stack = Stack.of(this)
    const accounts = [stack.account, ...new Set(clusters.flatMap(({ account }) => account ?? []))]
    const roles = accounts.map((account) => roleArn(stack, `${stack.stackName}-*`, account))
    const only = new PolicyStatement({
      ...{ actions, resources: ['*'], principals: [new AnyPrincipal()] },
      conditions: { ArnLike: { 'aws:PrincipalArn': roles } },
    })
    return new PolicyDocument({ statements: [only] })
  }
}
