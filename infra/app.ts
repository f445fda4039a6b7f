import { App, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
import { lockstepStacks } from './aws/lockstep-stacks.ts'
import { readFleet } from './fleet.ts'

const app = new App()
Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
// Another fleet than this project's is synthesized and deployed by the name of its file.
lockstepStacks(app, readFleet(process.env.LOCKSTEP_FLEET_FILE))
app.synth()
