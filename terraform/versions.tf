terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # exactly: the lock file, which would say so too, names a registry and is left out
    }
  }

  # Bucket, key and region come from backend.hcl (see backend.hcl.example). The state holds the Redis password,
  # so the bucket must be private and encrypted; `use_lockfile` keeps two people from applying at once.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project     = var.project_name
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  name      = "${var.project_name}-${var.environment}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  # Names of buckets are shared with the whole world; this keeps them apart without a provider of random numbers.
  suffix = substr(sha256("${local.account}/${var.aws_region}/${local.name}"), 0, 8)
  zones  = [for letter in var.zone_letters : "${var.aws_region}${letter}"]
}
