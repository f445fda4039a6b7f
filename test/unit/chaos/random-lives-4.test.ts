import { livesFrom, runsPerFile } from './random-lives.ts'

livesFrom(3 * runsPerFile)
