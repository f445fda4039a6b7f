/**
 * Stands in for the AWS SDK's search for credentials when functions are bundled. Lambda gives a function its role's
 * credentials in the environment, and nowhere else: to leave out the other places (profiles, SSO, instance metadata
 * and their clients) makes the webhook's bundle a third smaller, and a quarter faster to load.
 */
export const defaultProvider = () => async () => {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY || !AWS_SESSION_TOKEN)
    throw new Error("The role's credentials are not in the environment. This bundle runs in Lambda only.")
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN,
  }
}
