# Objects are sealed by the server before they come here; the bucket encrypts them once more.

resource "aws_s3_bucket" "media_storage" {
  #checkov:skip=CKV_AWS_144:One region; copies in another are a decision of the operator about where data may lie
  #checkov:skip=CKV2_AWS_62:Nothing listens to object events; the server sweeps orphans itself
  bucket = "${var.project_name}-media-${var.environment}-${local.suffix}"
}

resource "aws_s3_bucket_versioning" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.storage.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

data "aws_iam_policy_document" "media_storage" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.media_storage.arn, "${aws_s3_bucket.media_storage.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id
  policy = data.aws_iam_policy_document.media_storage.json

  depends_on = [aws_s3_bucket_public_access_block.media_storage]
}

# Browsers read presigned links where sealing is off; they never write here.
resource "aws_s3_bucket_cors_configuration" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id

  cors_rule {
    allowed_headers = ["Range"]
    allowed_methods = ["GET", "HEAD"]
    allowed_origins = var.allowed_origins
    expose_headers  = ["ETag", "Content-Range", "Accept-Ranges"]
    max_age_seconds = 3000
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "media_storage" {
  bucket = aws_s3_bucket.media_storage.id

  rule {
    id     = "media"
    status = "Enabled"

    filter {
      prefix = ""
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }

    transition {
      days          = var.bucket_lifecycle_days
      storage_class = "STANDARD_IA"
    }

    # What the server deletes must go: a version that is no longer current is a deleted medium.
    noncurrent_version_expiration {
      noncurrent_days = var.bucket_lifecycle_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.media_storage]
}

resource "aws_s3_bucket_logging" "media_storage" {
  bucket        = aws_s3_bucket.media_storage.id
  target_bucket = aws_s3_bucket.access_logs.id
  target_prefix = "media/"
}

# Access logs of the bucket and the balancer.

resource "aws_s3_bucket" "access_logs" {
  #checkov:skip=CKV_AWS_18:This is the bucket of access logs; it would log itself
  #checkov:skip=CKV_AWS_144:One region; copies in another are a decision of the operator about where data may lie
  #checkov:skip=CKV_AWS_145:The balancer delivers access logs only to buckets with SSE-S3
  #checkov:skip=CKV2_AWS_62:Nothing listens to object events
  bucket = "${var.project_name}-logs-${var.environment}-${local.suffix}"
}

resource "aws_s3_bucket_versioning" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {
      prefix = ""
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }

    expiration {
      days = 90
    }

    noncurrent_version_expiration {
      noncurrent_days = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.access_logs]
}

data "aws_iam_policy_document" "access_logs" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.access_logs.arn, "${aws_s3_bucket.access_logs.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "MediaBucketLogs"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.access_logs.arn}/media/*"]

    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }

  statement {
    sid       = "BalancerLogs"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.access_logs.arn}/balancer/AWSLogs/${local.account}/*"]

    principals {
      type        = "Service"
      identifiers = ["logdelivery.elasticloadbalancing.amazonaws.com"]
    }
  }
}

resource "aws_s3_bucket_policy" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id
  policy = data.aws_iam_policy_document.access_logs.json

  depends_on = [aws_s3_bucket_public_access_block.access_logs]
}
