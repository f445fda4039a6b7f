import { systemClock } from '../../functions/lib/clock.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { s3Contract } from './s3.contract.ts'

s3Contract('stand-in', () => startS3({ clock: systemClock }))
