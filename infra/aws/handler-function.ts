import { type Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { type IGrantable, type IPrincipal, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Architecture, LoggingFormat, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda'
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import { functionRoleName } from './cluster-work.ts'
import type { Network } from './network.ts'

export interface HandlerFunctionProps {
  /** The folder under functions/ whose handler.ts this is. */
  readonly handler: string
  readonly description: string
  readonly timeout: Duration
  readonly memorySize: number
  readonly environment?: Readonly<Record<string, string>>
  /**
   * Values that the bundle carries as `process.env.<name>`. A function's environment holds 4 KB in all, which a
   * fleet of some clusters exceeds.
   */
  readonly bundled?: Readonly<Record<string, unknown>>
  /** Where it runs. Without one, outside of any VPC. */
  readonly network?: Network | undefined
}

/** How every function of Lockstep is built, logs, is traced, and gets a role that may do nothing else yet. */
export class HandlerFunction extends Construct implements IGrantable {
  /** The folder under functions/. */
  readonly handler: string
  readonly function: NodejsFunction
  readonly role: Role
  readonly grantPrincipal: IPrincipal

  constructor(scope: Construct, id: string, props: HandlerFunctionProps) {
    super(scope, id)
    this.handler = props.handler
    const logGroup = new LogGroup(this, 'Logs', {
      retention: RetentionDays.THREE_MONTHS,
      // What must last is in the ledger.
      removalPolicy: RemovalPolicy.DESTROY,
    })
    this.role = new Role(this, 'Role', {
      roleName: functionRoleName(Stack.of(this).stackName, props.handler),
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `Lockstep function ${props.handler}`,
    })
    this.grantPrincipal = this.role.grantPrincipal
    logGroup.grantWrite(this.role)
    props.network?.grant(this.role)

    this.function = new NodejsFunction(this, 'Function', {
      entry: `functions/${props.handler}/handler.ts`,
      description: props.description,
      timeout: props.timeout,
      memorySize: props.memorySize,
      ...(props.network && {
        vpc: props.network.vpc,
        vpcSubnets: { subnets: [...props.network.subnets] },
        securityGroups: [props.network.functions],
      }),
      environment: {
        ...props.environment,
        // Half of the memory for the heap, and a small nursery: V8 would else collect late and grow for no gain.
        NODE_OPTIONS: `--max-old-space-size=${props.memorySize / 2} --max-semi-space-size=4`,
      },
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      role: this.role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
      tracing: Tracing.ACTIVE,
      awsSdkConnectionReuse: false,
      bundling: {
        format: OutputFormat.ESM,
        mainFields: ['module', 'main'],
        minify: true,
        // Deployed with the bundle for whoever reads a stack trace, but not loaded: that takes 8 ms of every start.
        sourceMap: true,
        sourcesContent: false,
        bundleAwsSDK: true,
        esbuildArgs: { '--alias:@aws-sdk/credential-provider-node': './infra/aws/lambda-credentials.ts' },
        define: Object.fromEntries(
          Object.entries(props.bundled ?? {}).map(([name, value]) => [
            `process.env.${name}`,
            JSON.stringify(JSON.stringify(value)),
          ]),
        ),
        // Some dependencies are CommonJS and call require() for parts of Node, which an ES module does not have.
        banner: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
      },
    })
    Validations.of(this.role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'xray:PutTraceSegments and xray:PutTelemetryRecords have no resource level.',
    })
  }

  allow(actions: string[], resources: string[]): void {
    this.role.addToPolicy(new PolicyStatement({ actions, resources }))
  }
}
