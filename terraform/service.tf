locals {
  port  = 3001
  image = var.image != "" ? var.image : "${aws_ecr_repository.server.repository_url}:${var.image_tag}"

  environment = {
    CHATCORE_ENV       = "production"
    CHATCORE_HOME      = "/data"
    HOST               = "0.0.0.0"
    PORT               = tostring(local.port)
    PUBLIC_URL         = "https://${var.domain_name}"
    ALLOWED_ORIGINS    = join(",", var.allowed_origins)
    TRUSTED_PROXIES    = join(",", [for subnet in aws_subnet.public : subnet.cidr_block])
    LOG_FORMAT         = "json"
    DATABASE_NAME      = var.database_name
    AWS_DEFAULT_REGION = var.aws_region
    S3_BUCKET_NAME     = aws_s3_bucket.media_storage.bucket
    MAX_FILE_SIZE      = tostring(var.max_file_size_mb * 1024 * 1024)
    KMS_KEY_ID         = aws_kms_key.messages.arn
    CLERK_JWT_ISSUER   = var.clerk_jwt_issuer
    OIDC_ISSUER        = var.oidc_issuer
  }

  container_environment = [for name, value in local.environment : { name = name, value = value } if value != ""]
  container_secrets = concat(
    [for name, secret in aws_secretsmanager_secret.server : { name = name, valueFrom = secret.arn }],
    [{ name = "REDIS_URL", valueFrom = aws_secretsmanager_secret.redis_url.arn }],
  )
}

resource "aws_ecr_repository" "server" {
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.storage.arn
  }
}

resource "aws_ecs_cluster" "main" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "server" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.server_cpu
  memory                   = var.server_memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.backend_role.arn

  container_definitions = jsonencode([
    {
      name                   = "server"
      image                  = local.image
      essential              = true
      readonlyRootFilesystem = true
      user                   = "10001:10001"
      stopTimeout            = 60 # the server drains for up to 20 s
      environment            = local.container_environment
      secrets                = local.container_secrets
      portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
      mountPoints = [
        { sourceVolume = "data", containerPath = "/data", readOnly = false },
        { sourceVolume = "scratch", containerPath = "/scratch", readOnly = false },
      ]
      linuxParameters = { initProcessEnabled = true }
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:${local.port}/health/live', timeout=5)"]
        interval    = 30
        timeout     = 10
        retries     = 3
        startPeriod = 60
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.server.name
          awslogs-region        = var.aws_region
          awslogs-stream-prefix = "server"
        }
      }
    }
  ])

  # Nothing in them outlives the task: the database, the media and the keys are elsewhere.
  volume {
    name = "data"
  }

  volume {
    name = "scratch"
  }
}

resource "aws_ecs_service" "server" {
  name                               = "server"
  cluster                            = aws_ecs_cluster.main.id
  task_definition                    = aws_ecs_task_definition.server.arn
  desired_count                      = var.server_count
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  health_check_grace_period_seconds  = 60
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.server.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.server.arn
    container_name   = "server"
    container_port   = local.port
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [desired_count] # autoscaling's
  }

  depends_on = [aws_lb_listener.https, aws_iam_role_policy_attachment.execution_secrets]
}

resource "aws_appautoscaling_target" "server" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.main.name}/${aws_ecs_service.server.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.server_count
  max_capacity       = max(var.server_count, var.server_count_max)
}

resource "aws_appautoscaling_policy" "server" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.server.service_namespace
  resource_id        = aws_appautoscaling_target.server.resource_id
  scalable_dimension = aws_appautoscaling_target.server.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 600 # each task that goes makes its clients reconnect
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
