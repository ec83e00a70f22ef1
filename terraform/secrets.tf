# Made empty here and filled by `./deploy secrets` or by hand, so that no value of theirs stands in the state. The
# exception is the password of Redis, which its own resource needs.

locals {
  secrets = {
    MONGODB_URI          = "Connection string of the MongoDB Atlas cluster; it may hold <db_password>"
    DATABASE_PASSWORD    = "Replaces <db_password> in MONGODB_URI"
    OPENAI_API_KEY       = "Key of the model provider; without it the embedded models answer"
    CLERK_SECRET_KEY     = "Clerk's secret key"
    CLERK_WEBHOOK_SECRET = "Signing secret of Clerk's webhooks"
    METRICS_TOKEN        = "Bearer token for /metrics"
  }
  used_secrets = setunion(["MONGODB_URI"], var.optional_secrets)
}

resource "aws_secretsmanager_secret" "server" {
  #checkov:skip=CKV2_AWS_57:None of these can be rotated by a schedule alone: each is issued by another party
  for_each = local.used_secrets

  name        = "${local.name}/${each.key}"
  description = local.secrets[each.key]
  kms_key_id  = aws_kms_key.storage.arn
}

# Another value at each reading; the first one stays.
data "aws_secretsmanager_random_password" "redis" {
  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "redis_password" {
  #checkov:skip=CKV2_AWS_57:Changed together with the Redis group, by `-replace=aws_secretsmanager_secret_version.redis_password`
  name        = "${local.name}/REDIS_PASSWORD"
  description = "Password of Redis"
  kms_key_id  = aws_kms_key.storage.arn
}

resource "aws_secretsmanager_secret_version" "redis_password" {
  secret_id     = aws_secretsmanager_secret.redis_password.id
  secret_string = data.aws_secretsmanager_random_password.redis.random_password

  lifecycle {
    ignore_changes = [secret_string]
  }
}

resource "aws_secretsmanager_secret" "redis_url" {
  #checkov:skip=CKV2_AWS_57:Made from the password above
  name        = "${local.name}/REDIS_URL"
  description = "Address of Redis with its password"
  kms_key_id  = aws_kms_key.storage.arn
}

resource "aws_secretsmanager_secret_version" "redis_url" {
  secret_id     = aws_secretsmanager_secret.redis_url.id
  secret_string = "rediss://:${aws_secretsmanager_secret_version.redis_password.secret_string}@${aws_elasticache_replication_group.redis.primary_endpoint_address}:6379/0"
}
