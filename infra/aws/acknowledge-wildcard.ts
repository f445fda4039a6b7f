import { Stack, Token, Validations } from 'aws-cdk-lib'
import type { IConstruct } from 'constructs'

/**
 * Says why a policy of `of` names resources by a pattern. cdk-nag writes what is only known at the deployment as
 * `<AWS::Partition>` in the names of its findings.
 */
export function acknowledgeWildcard(of: IConstruct, arns: readonly string[], reason: string): void {
  const stack = Stack.of(of)
  const named = (arn: string) => {
    const known = arn.replace(stack.partition, '<AWS::Partition>')
    return Token.isUnresolved(stack.account) ? known.replace(stack.account, '<AWS::AccountId>') : known
  }
  Validations.of(of).acknowledge(...arns.map((arn) => ({ id: `AwsSolutions-IAM5[Resource::${named(arn)}]`, reason })))
}
