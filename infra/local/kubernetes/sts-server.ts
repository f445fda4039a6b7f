import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Clock } from '../../../functions/lib/clock.ts'
import { listenOnLoopback } from '../loopback.ts'
import { type Activity, noActivity } from '../virtual-clock.ts'

/** What a role asks of whoever takes it on. */
export interface StsRole {
  readonly arn: string
  readonly externalId?: string
}

/** One session that was given out. */
export interface StsSession {
  readonly arn: string
  readonly sessionName: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface StsServer {
  /** Endpoint for @aws-sdk/client-sts. */
  readonly url: string
  /** The roles that there are; may be changed at any time. */
  readonly roles: StsRole[]
  /** What was given out, the oldest first. */
  readonly sessions: readonly StsSession[]
  close(): Promise<void>
}

/**
 * STS as far as Lockstep asks it: AssumeRole, as @aws-sdk/client-sts sends it. A role is refused that is not there, or that
 * asks for another external id. Signatures are not checked.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
export async function startStsServer(
  roles: readonly StsRole[],
  { clock, activity = noActivity }: { clock: Clock; activity?: Activity },
): Promise<StsServer> {
  const known = [...roles]
  const sessions: StsSession[] = []
  const answer = async (message: IncomingMessage): Promise<string | undefined> => {
    const asked = new URLSearchParams(await text(message))
    const arn = asked.get('RoleArn') ?? ''
    const role = known.find((each) => each.arn === arn)
    if (asked.get('Action') !== 'AssumeRole' || !role) return undefined
    if (role.externalId !== undefined && role.externalId !== asked.get('ExternalId')) return undefined
    const session: StsSession = {
      ...{ arn, sessionName: asked.get('RoleSessionName') ?? '' },
      ...{ accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}` },
      secretAccessKey: randomBytes(20).toString('hex'),
    }
    sessions.push(session)
    return granted(session, clock.now() + Number(asked.get('DurationSeconds') ?? 3600) * 1000)
  }
  const server = createServer(async (message, response) => {
    response.on('close', activity.begin())
    const body = await answer(message)
    response.writeHead(body === undefined ? 403 : 200, { 'content-type': 'text/xml' })
    response.end(body ?? refused)
  })
  return { roles: known, sessions, ...(await listenOnLoopback(server)) }
}

function granted({ accessKeyId, secretAccessKey }: StsSession, until: number): string {
  const credentials = {
    ...{ AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: randomBytes(60).toString('base64') },
    Expiration: new Date(until).toISOString(),
  }
  const fields = Object.entries(credentials).map(([name, value]) => `<${name}>${value}</${name}>`)
  return `<AssumeRoleResponse ${namespace}><AssumeRoleResult><Credentials>${fields.join('')}</Credentials></AssumeRoleResult></AssumeRoleResponse>`
}

const namespace = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
const refused = `<ErrorResponse ${namespace}><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>`
