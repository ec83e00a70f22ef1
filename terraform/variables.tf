# The first six are the original's; the others belong to what it left to be done by hand.

variable "aws_region" {
  description = "AWS region for resources"
  type        = string
  default     = "us-east-1"
}

variable "environment" {
  description = "Environment name: dev, staging or prod"
  type        = string
  default     = "dev"

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment must be dev, staging or prod."
  }
}

variable "project_name" {
  description = "Beginning of every resource's name"
  type        = string
  default     = "secure-realtime-chat"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}$", var.project_name))
    error_message = "project_name must be 3 to 21 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "allowed_origins" {
  description = "Browser origins that may call the server and read presigned media; an explicit list"
  type        = list(string)

  validation {
    condition     = length(var.allowed_origins) > 0 && alltrue([for origin in var.allowed_origins : can(regex("^https?://[^*]+$", origin))])
    error_message = "allowed_origins must list origins such as https://chat.example.org; wildcards are refused."
  }
}

variable "max_file_size_mb" {
  description = "Largest upload in MiB; the server gets it as MAX_FILE_SIZE"
  type        = number
  default     = 10

  validation {
    condition     = var.max_file_size_mb >= 1 && var.max_file_size_mb <= 100
    error_message = "max_file_size_mb must be between 1 and 100."
  }
}

variable "bucket_lifecycle_days" {
  description = "Days after which media move to infrequent-access storage (30 at least) and old versions are dropped"
  type        = number
  default     = 30

  validation {
    condition     = var.bucket_lifecycle_days >= 30
    error_message = "bucket_lifecycle_days must be 30 or more: S3 moves nothing to infrequent access before."
  }
}

variable "domain_name" {
  description = "Name under which people reach the server, as in chat.example.org"
  type        = string
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate for domain_name in aws_region"
  type        = string
}

variable "image" {
  description = "Container image of the server with its tag or digest; empty: the repository made here, tag image_tag"
  type        = string
  default     = ""
}

variable "image_tag" {
  description = "Tag in the repository made here; tags are immutable, so each build has its own"
  type        = string
  default     = "0.1.0"
}

variable "pipelines_image_tag" {
  description = "Tag of the image with the workbench, for scheduled evaluation; empty: none is scheduled"
  type        = string
  default     = ""
}

variable "pipelines_schedule" {
  description = "When the scheduled evaluation runs, as an EventBridge expression in UTC"
  type        = string
  default     = "cron(15 3 * * ? *)"
}

variable "pipelines_job" {
  description = "Job specification that the scheduled evaluation runs"
  type        = string
  default     = "pipelines/jobs/smart-reply-nightly.yaml"
}

variable "atlas_cidr_blocks" {
  description = "Address blocks of the MongoDB Atlas cluster (its peered network or its node addresses)"
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "optional_secrets" {
  description = "Which secrets beside MONGODB_URI the server gets; each must be given a value before the first deployment"
  type        = set(string)
  default     = ["DATABASE_PASSWORD"]

  validation {
    condition = length(setsubtract(var.optional_secrets, [
      "DATABASE_PASSWORD", "OPENAI_API_KEY", "CLERK_SECRET_KEY", "CLERK_WEBHOOK_SECRET", "METRICS_TOKEN"
    ])) == 0
    error_message = "optional_secrets takes DATABASE_PASSWORD, OPENAI_API_KEY, CLERK_SECRET_KEY, CLERK_WEBHOOK_SECRET and METRICS_TOKEN."
  }
}

variable "database_name" {
  description = "Name of the database"
  type        = string
  default     = "RealTimeChatAiApp"
}

variable "clerk_jwt_issuer" {
  description = "Issuer URL of a Clerk instance; empty: accounts are kept by the server or by oidc_issuer"
  type        = string
  default     = ""
}

variable "oidc_issuer" {
  description = "Issuer URL of another OpenID Connect provider"
  type        = string
  default     = ""
}

variable "server_count" {
  description = "Server tasks at least; two keep the chat up while one is replaced"
  type        = number
  default     = 2

  validation {
    condition     = var.server_count >= 1 && var.server_count <= 50
    error_message = "server_count must be between 1 and 50."
  }
}

variable "server_count_max" {
  description = "Server tasks at most, when CPU use asks for more"
  type        = number
  default     = 6
}

variable "server_cpu" {
  description = "CPU units of one task (1024 is one core); chatcore uses one core for each worker"
  type        = number
  default     = 1024
}

variable "server_memory" {
  description = "Memory of one task in MiB; the embedded models take about 300 of it when no provider key is set"
  type        = number
  default     = 2048
}

variable "redis_node_type" {
  description = "Instance type of the Redis nodes; they carry hints between servers and no data of their own"
  type        = string
  default     = "cache.t4g.small"
}

variable "alarm_email" {
  description = "Where alarms go; empty: the topic has no subscriber"
  type        = string
  default     = ""
}

variable "log_retention_days" {
  description = "How long logs are kept; they hold no message text"
  type        = number
  default     = 365
}

variable "vpc_cidr" {
  description = "Address block of the network"
  type        = string
  default     = "10.42.0.0/16"
}

variable "zone_letters" {
  description = "The two availability zones used, by the letters at the end of their names"
  type        = list(string)
  default     = ["a", "b"]

  validation {
    condition     = length(var.zone_letters) == 2 && length(distinct(var.zone_letters)) == 2
    error_message = "zone_letters must name two different zones."
  }
}
