# The scheduled evaluation: one task that runs a job and ends; its exit code is the gate's verdict.

resource "aws_ecs_task_definition" "pipelines" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  family                   = "${local.name}-pipelines"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 2048
  memory                   = 8192
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.pipelines[0].arn

  container_definitions = jsonencode([
    {
      name                   = "pipelines"
      image                  = "${aws_ecr_repository.server.repository_url}:${var.pipelines_image_tag}"
      essential              = true
      readonlyRootFilesystem = true
      user                   = "10001:10001"
      command                = ["python", "-m", "pipelines", "run", var.pipelines_job]
      environment = [
        { name = "CHATCORE_URL", value = "https://${var.domain_name}" },
        { name = "CHATCORE_HOME", value = "/data" },
        { name = "S3_BUCKET_NAME", value = aws_s3_bucket.media_storage.bucket },
        { name = "AWS_DEFAULT_REGION", value = var.aws_region },
      ]
      secrets = [{ name = "CHATCORE_TOKEN", valueFrom = aws_secretsmanager_secret.pipelines[0].arn }]
      mountPoints = [
        { sourceVolume = "data", containerPath = "/data", readOnly = false },
        { sourceVolume = "scratch", containerPath = "/scratch", readOnly = false },
      ]
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.server.name
          awslogs-region        = var.aws_region
          awslogs-stream-prefix = "pipelines"
        }
      }
    }
  ])

  volume {
    name = "data"
  }

  volume {
    name = "scratch"
  }
}

resource "aws_secretsmanager_secret" "pipelines" {
  #checkov:skip=CKV2_AWS_57:A token of the chat server's own issuer; renewed with `python -m chatcore token`
  count = var.pipelines_image_tag == "" ? 0 : 1

  name        = "${local.name}/CHATCORE_TOKEN"
  description = "Token with the role analyst for the scheduled evaluation"
  kms_key_id  = aws_kms_key.storage.arn
}

data "aws_iam_policy_document" "pipelines_secret" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.pipelines[0].arn]
  }
}

resource "aws_iam_role_policy" "pipelines_secret" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  name   = "pipelines-secret"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.pipelines_secret[0].json
}

resource "aws_cloudwatch_event_rule" "pipelines" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  name                = "${local.name}-pipelines"
  description         = "Runs ${var.pipelines_job}"
  schedule_expression = var.pipelines_schedule
}

resource "aws_cloudwatch_event_target" "pipelines" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  rule     = aws_cloudwatch_event_rule.pipelines[0].name
  arn      = aws_ecs_cluster.main.arn
  role_arn = aws_iam_role.scheduler[0].arn

  ecs_target {
    task_definition_arn = aws_ecs_task_definition.pipelines[0].arn
    launch_type         = "FARGATE"

    network_configuration {
      subnets         = [for subnet in aws_subnet.private : subnet.id]
      security_groups = [aws_security_group.server.id]
    }
  }
}
