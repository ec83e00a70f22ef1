# The original's outputs, but for the two access keys: there is no user that could have any. No output is a secret.

output "s3_bucket_name" {
  description = "Name of the S3 bucket for media storage"
  value       = aws_s3_bucket.media_storage.bucket
}

output "s3_bucket_arn" {
  description = "ARN of the S3 bucket"
  value       = aws_s3_bucket.media_storage.arn
}

output "s3_bucket_region" {
  description = "Region of the S3 bucket"
  value       = aws_s3_bucket.media_storage.region
}

output "backend_role_arn" {
  description = "ARN of the role that the server runs as"
  value       = aws_iam_role.backend_role.arn
}

output "aws_region" {
  description = "AWS region"
  value       = var.aws_region
}

output "environment" {
  description = "Environment name"
  value       = var.environment
}

output "url" {
  description = "Where people reach the server once domain_name points to the balancer"
  value       = "https://${var.domain_name}"
}

output "balancer_dns_name" {
  description = "Target of the CNAME or alias record for domain_name"
  value       = aws_lb.main.dns_name
}

output "repository_url" {
  description = "Where the image is pushed"
  value       = aws_ecr_repository.server.repository_url
}

output "nat_address" {
  description = "The address from which the servers reach Atlas: put it on the cluster's access list"
  value       = aws_eip.nat.public_ip
}

output "secret_names" {
  description = "Secrets that need a value before the first deployment"
  value       = concat([for secret in aws_secretsmanager_secret.server : secret.name], aws_secretsmanager_secret.pipelines[*].name)
}

output "cluster_and_service" {
  description = "For `aws ecs update-service`"
  value       = "${aws_ecs_cluster.main.name} ${aws_ecs_service.server.name}"
}
