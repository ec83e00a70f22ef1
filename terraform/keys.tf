# One key for media, logs, secrets and queues; another, apart, that wraps the keys of message groups.

data "aws_iam_policy_document" "storage_key" {
  #checkov:skip=CKV_AWS_109:In a key's own policy the account manages the key; without it nobody could
  #checkov:skip=CKV_AWS_111:In a key's own policy the account manages the key; without it nobody could
  #checkov:skip=CKV_AWS_356:In a key's own policy "*" is that key
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.aws_region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.partition}:logs:${var.aws_region}:${local.account}:log-group:*${local.name}*"]
    }
  }

  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_kms_key" "storage" {
  description             = "${local.name}: media, logs, secrets, alarms"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.storage_key.json
}

resource "aws_kms_alias" "storage" {
  name          = "alias/${local.name}-storage"
  target_key_id = aws_kms_key.storage.key_id
}

data "aws_iam_policy_document" "message_key" {
  #checkov:skip=CKV_AWS_109:In a key's own policy the account manages the key; without it nobody could
  #checkov:skip=CKV_AWS_111:In a key's own policy the account manages the key; without it nobody could
  #checkov:skip=CKV_AWS_356:In a key's own policy "*" is that key
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }
}

# Destroying this key makes every stored message unreadable for ever, backups included.
resource "aws_kms_key" "messages" {
  description             = "${local.name}: wraps the keys of message groups"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.message_key.json

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "messages" {
  name          = "alias/${local.name}-messages"
  target_key_id = aws_kms_key.messages.key_id
}
