resource "aws_cloudwatch_log_group" "server" {
  name              = "/ecs/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.storage.arn
}

resource "aws_cloudwatch_log_group" "network" {
  name              = "/vpc/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.storage.arn
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.storage.arn
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == "" ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

# Faults of the server itself: each is one line with a correlation id.
resource "aws_cloudwatch_log_metric_filter" "internal_errors" {
  name           = "${local.name}-internal-errors"
  log_group_name = aws_cloudwatch_log_group.server.name
  pattern        = "{ $.event = \"internal_error\" }"

  metric_transformation {
    name      = "InternalErrors"
    namespace = local.name
    value     = "1"
  }
}

locals {
  balancer = { LoadBalancer = aws_lb.main.arn_suffix }
  targets  = { LoadBalancer = aws_lb.main.arn_suffix, TargetGroup = aws_lb_target_group.server.arn_suffix }
  service  = { ClusterName = aws_ecs_cluster.main.name, ServiceName = aws_ecs_service.server.name }
  redis    = { CacheClusterId = "${aws_elasticache_replication_group.redis.id}-001" }

  # statistic, comparison with threshold, over so many minutes
  alarms = {
    unhealthy-servers = { space = "AWS/ApplicationELB", metric = "UnHealthyHostCount", by = local.targets, statistic = "Maximum", above = 0, minutes = 3, says = "A server is not ready: its database or broker does not answer, or it does not start" }
    server-errors     = { space = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", by = local.targets, statistic = "Sum", above = 20, minutes = 5, says = "The servers answer with errors" }
    balancer-errors   = { space = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", by = local.balancer, statistic = "Sum", above = 20, minutes = 5, says = "The balancer reaches no server" }
    slow-answers      = { space = "AWS/ApplicationELB", metric = "TargetResponseTime", by = local.targets, statistic = "p95", above = 1, minutes = 10, says = "Requests take more than a second" }
    internal-errors   = { space = local.name, metric = "InternalErrors", by = {}, statistic = "Sum", above = 0, minutes = 5, says = "A fault of the server; its log line has a correlation id" }
    server-cpu        = { space = "AWS/ECS", metric = "CPUUtilization", by = local.service, statistic = "Average", above = 85, minutes = 10, says = "The servers are busy, and more of them have not helped" }
    server-memory     = { space = "AWS/ECS", metric = "MemoryUtilization", by = local.service, statistic = "Average", above = 85, minutes = 10, says = "The servers are short of memory" }
    redis-cpu         = { space = "AWS/ElastiCache", metric = "EngineCPUUtilization", by = local.redis, statistic = "Average", above = 80, minutes = 10, says = "Redis is busy" }
    redis-memory      = { space = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", by = local.redis, statistic = "Average", above = 80, minutes = 10, says = "Redis is short of memory" }
  }
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.space
  metric_name         = each.value.metric
  dimensions          = each.value.by
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Fewer running servers than asked for, however healthy the others are.
resource "aws_cloudwatch_metric_alarm" "missing_servers" {
  alarm_name          = "${local.name}-missing-servers"
  alarm_description   = "Fewer servers are healthy than server_count asks for"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = local.targets
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.server_count
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# A job whose gate fails ends with a code that is not 0.
resource "aws_cloudwatch_event_rule" "pipelines_failed" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  name        = "${local.name}-pipelines-failed"
  description = "A scheduled evaluation failed, or its gate did"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      clusterArn        = [aws_ecs_cluster.main.arn]
      taskDefinitionArn = [aws_ecs_task_definition.pipelines[0].arn]
      lastStatus        = ["STOPPED"]
      containers        = { exitCode = [{ anything-but = 0 }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "pipelines_failed" {
  count = var.pipelines_image_tag == "" ? 0 : 1

  rule = aws_cloudwatch_event_rule.pipelines_failed[0].name
  arn  = aws_sns_topic.alarms.arn
}

data "aws_iam_policy_document" "alarms_topic" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

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

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms_topic.json
}
