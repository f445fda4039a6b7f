import { App, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
import { LockstepStack } from './aws/lockstep-stack.ts'
import { readFleet } from './fleet.ts'

const app = new App()
Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
new LockstepStack(app, 'Lockstep', readFleet())
app.synth()
