import { type App, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks, NIST80053R5Checks } from 'cdk-nag'

/**
 * The rules that every stack is checked against when it is synthesized: cdk-nag's own, and NIST 800-53 revision 5. What one
 * resource does otherwise is acknowledged where it is made; what is so by design, for all of its kind, here.
 */
export function addRulePacks(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new NIST80053R5Checks(app))
  Validations.of(app).acknowledge(
    ...Object.entries(byDesign).map(([rule, reason]) => ({ id: `NIST.800.53.R5-${rule}`, reason })),
  )
}

const byDesign = {
  CloudWatchLogGroupEncrypted:
    'CloudWatch encrypts logs with its own key. No secret, token or payload is in them: what would be is left out where it is logged.',
  IAMNoInlinePolicy:
    'A policy of its own for each role, which goes away with it: a managed one could be attached to others.',
  LambdaConcurrency:
    "A reserve would be taken from the account's other functions. How much runs is bounded before: by the API's throttle, the clusters of the fleet and the schedules.",
  LambdaDLQ:
    'State machines and the API call functions and wait for the answer: a failure is theirs to tell. What EventBridge calls has a queue, as its destination on failure.',
  LambdaInsideVPC:
    'Functions that reach clusters run in the network that the fleet names, if it names one. The others call AWS only.',
}
