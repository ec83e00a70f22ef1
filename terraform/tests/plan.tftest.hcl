# Plans against a pretended AWS: `terraform test`. No account, no network, nothing is made.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_secretsmanager_random_password" {
    defaults = { random_password = "pretendedpretendedpretended" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  environment     = "staging"
  domain_name     = "chat.example.org"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  allowed_origins = ["https://chat.example.org"]
}

run "lifecycle_follows_its_variable" {
  command = plan

  variables {
    bucket_lifecycle_days = 45
  }

  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.media_storage.rule).transition).days == 45
    error_message = "The move to infrequent access does not follow bucket_lifecycle_days."
  }
}

run "upload_limit_reaches_the_server" {
  command = plan

  variables {
    max_file_size_mb = 7
  }

  assert {
    condition     = local.environment.MAX_FILE_SIZE == "7340032"
    error_message = "MAX_FILE_SIZE is not max_file_size_mb in bytes."
  }
}

run "no_evaluation_without_an_image" {
  command = plan

  assert {
    condition     = length(aws_ecs_task_definition.pipelines) == 0 && length(aws_iam_role.scheduler) == 0
    error_message = "A scheduled evaluation is planned though no image is named."
  }
}

run "evaluation_with_an_image" {
  command = plan

  variables {
    pipelines_image_tag = "0.1.0-pipelines"
  }

  assert {
    condition     = length(aws_cloudwatch_event_target.pipelines) == 1 && length(aws_cloudwatch_event_rule.pipelines_failed) == 1
    error_message = "The evaluation, or the alarm on its failure, is not planned."
  }
}

run "wildcard_origins_are_refused" {
  command = plan

  variables {
    allowed_origins = ["https://*.example.org"]
  }

  expect_failures = [var.allowed_origins]
}

run "unknown_secrets_are_refused" {
  command = plan

  variables {
    optional_secrets = ["DATABSE_PASSWORD"]
  }

  expect_failures = [var.optional_secrets]
}

run "early_lifecycle_is_refused" {
  command = plan

  variables {
    bucket_lifecycle_days = 7
  }

  expect_failures = [var.bucket_lifecycle_days]
}
