import { Stack } from 'aws-cdk-lib'
import {
  type ISecurityGroup,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  Subnet,
  Vpc,
} from 'aws-cdk-lib/aws-ec2'
import { Effect, PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import { acknowledgeWildcard } from './acknowledge-wildcard.ts'

export type FleetNetwork = NonNullable<Fleet['network']>

/**
 * Where functions run that reach clusters: in subnets of the fleet's own, from which clusters with a private endpoint can be
 * reached. They may open connections to port 443 and nothing else, and nobody may open one to them.
 */
export class Network extends Construct {
  readonly vpc: IVpc
  readonly subnets: readonly ISubnet[]
  readonly functions: ISecurityGroup

  constructor(scope: Construct, id: string, { vpc, subnets }: FleetNetwork) {
    super(scope, id)
    // Nothing is looked up. Zones are needed by constructs that make subnets, which none does here.
    this.vpc = Vpc.fromVpcAttributes(this, 'Vpc', { vpcId: vpc, availabilityZones: ['any'] })
    this.subnets = subnets.map((subnet) => Subnet.fromSubnetId(this, subnet, subnet))
    const functions = new SecurityGroup(this, 'Functions', {
      vpc: this.vpc,
      description: 'Lockstep: functions that reach clusters. Let it in at port 443 of private clusters.',
      allowAllOutbound: false,
    })
    functions.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'Kubernetes API servers, and AWS')
    this.functions = functions
  }

  /**
   * What Lambda needs of a function's role to connect it, as `AWSLambdaVPCAccessExecutionRole` has it, but for these subnets only.
   * Lambda does it, and never the function's own code, which is denied it.
   * https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
   *
   * That an interface is made by rights on itself, its subnet and its security group, by ARN, is as a policy of AWS has it:
   * https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonTimestreamInfluxDBServiceRolePolicy.html
   * The page of Lambda wants DeleteNetworkInterface on all ids, or its functions "may not be able to access the VPC".
   */
  grant(to: Role): void {
    const stack = Stack.of(this)
    const arn = (resource: string, resourceName: string) => stack.formatArn({ service: 'ec2', resource, resourceName })
    const interfaces = arn('network-interface', '*')
    const subnets = this.subnets.map(({ subnetId }) => arn('subnet', subnetId))
    const group = arn('security-group', this.functions.securityGroupId)
    const ofInterfaces = [
      'ec2:AssignPrivateIpAddresses',
      'ec2:CreateNetworkInterface',
      'ec2:DeleteNetworkInterface',
      'ec2:UnassignPrivateIpAddresses',
    ]
    // Neither of them has a resource level.
    const looking = ['ec2:DescribeNetworkInterfaces', 'ec2:DescribeSubnets']
    to.addToPolicy(new PolicyStatement({ actions: ofInterfaces, resources: [interfaces] }))
    to.addToPolicy(new PolicyStatement({ actions: ['ec2:CreateNetworkInterface'], resources: [...subnets, group] }))
    to.addToPolicy(new PolicyStatement({ actions: looking, resources: ['*'] }))
    to.addToPolicy(
      new PolicyStatement({
        effect: Effect.DENY,
        actions: [...ofInterfaces, ...looking],
        resources: ['*'],
        // Calls of a function's code have it; those that Lambda makes with the role have not.
        conditions: { Null: { 'lambda:SourceFunctionArn': 'false' } },
      }),
    )
    acknowledgeWildcard(to, [interfaces], 'Lambda makes the interfaces: their ids are not known before.')
  }
}
