/**
 * Where the console of each partition is, as these pages say:
 * https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html
 * https://docs.amazonaws.cn/en_us/IAM/latest/UserGuide/id_users_sign-in.html (China)
 * https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/configure-account.html (GovCloud)
 */
const hosts: Readonly<Record<string, string>> = {
  aws: 'console.aws.amazon.com',
  'aws-cn': 'console.amazonaws.cn',
  'aws-us-gov': 'console.amazonaws-us-gov.com',
}

const executionArn = /^arn:([a-z-]+):states:([a-z0-9-]+):\d{12}:execution:[^\s:]+:[^\s:]+$/

/** The page of an execution in the AWS console; undefined for a partition whose console is not known here. */
export function consoleLink(arn: string): string | undefined {
  const [, partition = '', region = ''] = arn.match(executionArn) ?? []
  const host = hosts[partition]
  if (host === undefined) return undefined
  return `https://${host}/states/home?region=${region}#/v2/executions/details/${encodeURI(arn)}`
}
