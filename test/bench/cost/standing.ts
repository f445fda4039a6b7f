import { readFileSync } from 'node:fs'
import { App } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { LockstepStack } from '../../../infra/aws/lockstep-stack.ts'

/** What is deployed, whatever happens: read in the template of the stack. */
export interface Standing {
  /** In MB, by the name of each function's folder. */
  readonly memory: Readonly<Record<string, number>>
  readonly alarmMetrics: number
  readonly dashboards: number
  readonly secrets: number
  readonly keys: number
  /** VPC endpoints that are paid for, times the zones that each is in. */
  readonly endpointZones: number
  /** That every message goes to. */
  readonly mailboxes: number
}

/** What a fleet may ask for, and is paid for besides. */
const choices = {
  'a key of your own': { encryption: 'customer-key' },
  'VPC endpoints in two zones': {
    network: {
      ...{ vpc: 'vpc-0a1b2c3d4e5f60718', subnets: ['subnet-0a1b2c3d4e5f60718', 'subnet-1a1b2c3d4e5f60718'] },
      endpoints: { routeTables: ['rtb-0a1b2c3d4e5f60718'] },
    },
  },
  'messages by mail to three people': {
    notifications: { emails: ['ana@example.com', 'bob@example.com', 'carol@example.com'] },
  },
} as const satisfies Record<string, object>

/** What stands with each choice. */
export function readChoices(): Readonly<Record<string, Standing>> {
  return Object.fromEntries(Object.entries(choices).map(([name, chosen]) => [name, readStanding(chosen)]))
}

/** Of cdk.json's fleet, with what is chosen besides. */
export function readStanding(chosen: object = {}): Standing {
  const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'))
  const app = new App({
    context: { ...context, 'aws:cdk:bundling-stacks': [], '@aws-cdk/core:validateAgainstDefaultRules': false },
  })
  const written = { ...context.lockstep, ...chosen }
  const template = Template.fromStack(new LockstepStack(app, 'Lockstep', { written, fleet: parseFleet(written) }))
  const all = (type: string) => Object.values(template.findResources(type)).map(({ Properties }) => Properties)
  const roles = template.findResources('AWS::IAM::Role')
  const memory = all('AWS::Lambda::Function').flatMap(({ Role, MemorySize }) => {
    const description: string = roles[Role['Fn::GetAtt'][0]]?.Properties.Description ?? ''
    const name = /^Lockstep function (\S+)$/.exec(description)?.[1]
    return name === undefined ? [] : [[name, MemorySize] as const]
  })
  return {
    memory: Object.fromEntries(memory),
    alarmMetrics: all('AWS::CloudWatch::Alarm').reduce((sum, alarm) => sum + metricsOf(alarm), 0),
    dashboards: all('AWS::CloudWatch::Dashboard').length,
    secrets: all('AWS::SecretsManager::Secret').length,
    keys: all('AWS::KMS::Key').length,
    // A gateway is a route, and has no price.
    endpointZones: all('AWS::EC2::VPCEndpoint').reduce((sum, { SubnetIds = [] }) => sum + SubnetIds.length, 0),
    mailboxes: written.notifications?.emails?.length ?? 0,
  }
}

/** One, or as many as the alarm adds up. */
function metricsOf({ Metrics }: { Metrics?: { MetricStat?: object }[] }): number {
  return Metrics === undefined ? 1 : Metrics.filter(({ MetricStat }) => MetricStat).length
}
