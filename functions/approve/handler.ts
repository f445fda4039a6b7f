import { SFNClient } from '@aws-sdk/client-sfn'
import { SfnTaskTokens } from '../lib/approval/sfn-task-tokens.ts'
import { required } from '../lib/environment.ts'
import { linkSecretsFrom } from '../lib/link-secrets.ts'
import { limitsWhileSomebodyWaits } from '../lib/request-limits.ts'
import { portsFromEnvironment } from '../lib/serve.ts'
import { type ApproveRequest, type ApproveResponse, approve } from './approve.ts'

/** What API Gateway sends, as far as it is needed: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html */
interface ApiRequest extends Omit<ApproveRequest, 'method' | 'token'> {
  readonly requestContext: { readonly http: { readonly method: string } }
  readonly pathParameters?: { readonly token?: string }
}

// Environment: that of `serve`, and APPROVAL_SECRET_ARN, with which links are signed.
const answer = approve({
  ...portsFromEnvironment('approve'),
  tasks: new SfnTaskTokens(new SFNClient({ ...limitsWhileSomebodyWaits })),
  linkSecrets: linkSecretsFrom(required('APPROVAL_SECRET_ARN', process.env.APPROVAL_SECRET_ARN)),
})

/** The page on which people decide: `ANY /approve/{token}` of an HTTP API. */
export const handler = ({ requestContext, pathParameters, ...request }: ApiRequest): Promise<ApproveResponse> =>
  answer({ ...request, method: requestContext.http.method, token: pathParameters?.token ?? '' })
