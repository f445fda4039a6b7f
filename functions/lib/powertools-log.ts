import { Logger } from '@aws-lambda-powertools/logger'
import type { Log } from './log.ts'

/** A log in JSON for CloudWatch, with the name of the service in every line. */
export function powertoolsLog(serviceName: string): Log {
  const logger = new Logger({ serviceName })
  return {
    info: (message, fields = {}) => logger.info(message, fields),
    warn: (message, fields = {}) => logger.warn(message, fields),
  }
}
