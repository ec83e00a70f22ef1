// Types of the chatcore wire contract, version 0.1.0. Made by `python -m chatcore describe`; do not edit.
//
//   import { io, type Socket } from "socket.io-client";
//   import type { ClientToServerEvents, HandshakeAuth, ServerToClientEvents } from "./chatcore";
//
//   const auth: HandshakeAuth = { token };
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth });
//   const answer = await socket.timeout(10_000).emitWithAck("send_message", { groupId, content: "Hello" });
//   if (answer.ok) console.log(answer.data.seq);
//   else console.warn(answer.error.code);

/** Stable codes of refusals; a later version may have more. */
export type ErrorCode =
  | "invalid_payload"
  | "unknown_field"
  | "unknown_event"
  | "message_empty"
  | "message_too_long"
  | "payload_too_large"
  | "unsupported_media"
  | "range_not_satisfiable"
  | "headers_too_large"
  | "token_invalid"
  | "token_missing"
  | "token_expired"
  | "bad_credentials"
  | "access_denied"
  | "user_inactive"
  | "banned"
  | "invite_invalid"
  | "not_found"
  | "method_not_allowed"
  | "conflict"
  | "limit_reached"
  | "rate_limited"
  | "slow_mode"
  | "message_rejected"
  | "unavailable"
  | "draining"
  | "capability_unavailable"
  | "internal"
  | (string & {});

/** The handshake's `auth`; without a token, emit `authenticate` within 10 s. */
export interface HandshakeAuth {
  token?: string;
  deviceType?: "mobile" | "web" | "desktop";
}

export interface AckOk<Data> {
  ok: true;
  data: Data;
}

/** What the callback of an emit gets. */
export type Ack<Data> = AckOk<Data> | AckFailed;

export interface AcceptInvite {
  /** Stable; programs decide by it. */
  code: string;
}

/** A slow command is under way; its reply event, or its error event, bears this id. */
export interface Accepted {
  requestId: string;
}

export interface AckFailed {
  ok: false;
  /** The same as `message`, as older clients read it. */
  error: Failure;
}

/** `assignee` is a name and `due` are words out of the messages; missing where they name none. */
export interface ActionItem {
  text: string;
  assignee?: string;
  due?: string;
  /** The message's `_id`. */
  messageId: string;
}

export interface Activity {
  participants: number;
  firstAt?: string;
  lastAt?: string;
}

/** BAML that defines `function <name>(input: string)`; the parameters go to the model inside the input. */
export interface AddPrompt {
  function: string;
  text: string;
  parameters?: Record<string, unknown>;
}

export interface AnalyzeSentiment {
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
}

/** `answered` is false, and `citations` empty, where the group's messages do not say. */
export interface Answered {
  answer: string;
  answered: boolean;
  /** The messages that the answer rests on. */
  citations: string[];
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: string;
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
}

/** `upheld` is in the author's favour. With `resend` the text may be sent again as it was. */
export interface Appeal {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
  /** The message's `_id`. */
  messageId?: string;
  category: string;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content?: string;
  reason: string;
  state: "open" | "upheld" | "denied";
  resend: boolean;
  note?: string;
  resolvedBy?: string;
  resolvedAt?: string;
  createdAt: string;
}

/** To the author. With `resend` the text may be sent again as it was; else an upheld appeal put it back already. */
export interface AppealResolved {
  appealId: string;
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  /** The group's `_id`. */
  groupId: string;
  outcome: "upheld" | "denied";
  resend: boolean;
  note?: string;
}

export interface Appeals {
  appeals: Appeal[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
  next?: string;
}

export interface AskGroup {
  /** Answered from this group's messages alone. */
  question: string;
  /** The group's `_id`. */
  groupId: string;
}

export interface AskInsights {
  /** The group's `_id`. */
  groupId: string;
  /** How far back to look. */
  timeRange?: "1h" | "6h" | "12h" | "24h" | "7d" | "30d";
}

/** Without an `assignee` to oneself; an empty one gives the review back. */
export interface AssignReview {
  reviewId: string;
  assignee?: "" | string | null;
}

export interface AuditEntry {
  /** Ordinal among the messages that people wrote; unread counts are differences of it. */
  n: number;
  actor: string;
  action: string;
  target: string;
  facts: Record<string, string | number | number | boolean>;
  hash: string;
  createdAt: string;
}

/** Newest first. `next` is `before` of the following page. */
export interface AuditPage {
  entries: AuditEntry[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
  next?: number;
}

export interface Authenticate {
  /** A JSON Web Token. */
  token: string;
  /** What kind of device this is. */
  deviceType?: "mobile" | "web" | "desktop" | null;
}

export interface AuthenticationSuccess {
  user: Me;
  sessionId: string;
  /** ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
}

export interface Ban {
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
  reason?: string;
}

export interface BanEntry {
  /** The person's `sub` at the identity provider. */
  userId: string;
  bannedBy: string;
  reason: string;
  createdAt: string;
}

export interface Bans {
  bans: BanEntry[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

export interface ChangeRole {
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
  role: "admin" | "moderator" | "member";
}

export interface ChangeStatus {
  status: "online" | "away";
}

/** Without `groupIds`: every group that takes part. `days` until it can be read no more. */
export interface CreateExport {
  purpose: string;
  groupIds?: string[] | null;
  /** The last log position that the client has applied. */
  since?: string | null;
  until?: string | null;
  days?: number;
}

export interface CreateGroup {
  name: string;
  description?: string;
  joinPolicy?: "open" | "invite" | "closed";
  settings?: GroupSettingsChange | null;
}

export interface CreateInvite {
  /** The group's `_id`. */
  groupId: string;
  maxUses?: number;
  expiresInHours?: number;
}

/** `contentGone`: the content was erased or never kept. */
export interface DecisionDetail {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  feature: string;
  at: string;
  mode: "live" | "shadow" | "replay";
  action?: string;
  /** The group's `_id`. */
  groupId?: string;
  /** The message's `_id`. */
  messageId?: string;
  /** The changed message's own place in the log; `seq` is the place of this event. */
  messageSeq?: number;
  /** A keyed hash in place of the person's id; the same for the same person. */
  person?: string;
  prompt?: string;
  /** `live`, or `canary` where a new version was on trial for this person. */
  arm?: string;
  parameters: Record<string, unknown>;
  scores: Record<string, number>;
  /** Which thresholds turned scores into the action. */
  thresholdsVersion?: string;
  /** Of the input as canonical JSON: equal inputs are equal here. */
  inputSha256: string;
  /** The decision that was made again. */
  replayOf?: string;
  /** The decision beside which this one was made, unseen. */
  shadowOf?: string;
  served: ServedBy;
  human?: Record<string, unknown>;
  appeal?: Record<string, unknown>;
  exposure?: Record<string, unknown>;
  /** The content was erased or never kept. */
  contentGone: boolean;
  input?: Record<string, unknown>;
  output?: Record<string, unknown>;
}

/** One decision without its content. `person` is a keyed hash, the same for the same person. */
export interface DecisionLine {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  feature: string;
  at: string;
  mode: "live" | "shadow" | "replay";
  action?: string;
  /** The group's `_id`. */
  groupId?: string;
  /** The message's `_id`. */
  messageId?: string;
  /** The changed message's own place in the log; `seq` is the place of this event. */
  messageSeq?: number;
  /** A keyed hash in place of the person's id; the same for the same person. */
  person?: string;
  prompt?: string;
  /** `live`, or `canary` where a new version was on trial for this person. */
  arm?: string;
  parameters: Record<string, unknown>;
  scores: Record<string, number>;
  /** Which thresholds turned scores into the action. */
  thresholdsVersion?: string;
  /** Of the input as canonical JSON: equal inputs are equal here. */
  inputSha256: string;
  /** The decision that was made again. */
  replayOf?: string;
  /** The decision beside which this one was made, unseen. */
  shadowOf?: string;
  served: ServedBy;
  human?: Record<string, unknown>;
  appeal?: Record<string, unknown>;
  exposure?: Record<string, unknown>;
}

/** `include=content` adds what was asked and answered, where it is still kept. */
export interface DecisionPath {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  /** `readBy` adds who has read each message. */
  include?: "content" | null;
}

export interface Decisions {
  decisions: DecisionLine[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

export interface DetectLanguage {
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
}

export interface DevTokenRequest {
  name: string;
}

/** One session: a token on a device, with however many connections. */
export interface Device {
  sessionId: string;
  /** What kind of device this is. */
  deviceType: "mobile" | "web" | "desktop";
  status: "online" | "away" | "offline";
  current: boolean;
  ipAddress?: string;
  userAgent?: string;
  createdAt: string;
  lastActivity: string;
}

export interface Devices {
  sessions: Device[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

export interface DirectMessage {
  /** The person's `sub` at the identity provider. */
  userId: string;
}

export interface EditMessage {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
}

export interface EditMessageById {
  /** The message's `_id`. */
  messageId: string;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
}

/** A command without fields, or a reply without news. */
export type Empty = Record<string, never>;

/** `groups` take part as long as they agree, `leftOut` of those asked for did not when it was made. */
export interface Export {
  exportId: string;
  purpose: string;
  createdBy: string;
  createdAt: string;
  /** ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
  /** The last log position that the client has applied. */
  since?: string;
  until?: string;
  groups: number;
  leftOut: number;
}

export interface ExportPath {
  exportId: string;
}

/** Every id is a pseudonym, the same all through one export and of no meaning in another. `text` has no addresses, numbers or names of members; `n` counts the conversation's messages, also those that are left out. */
export interface ExportedMessage {
  conversation: string;
  message: string;
  /** Ordinal among the messages that people wrote; unread counts are differences of it. */
  n: number;
  sender: string;
  type: "text" | "image" | "file";
  text: string;
  at: string;
  edited: boolean;
  /** The `_id` of the message that this one answers. */
  replyTo?: string;
  /** Ids of the people named after an `@`. */
  mentions: string[];
  /** How many people reacted with each emoji. */
  reactions: Record<string, number>;
  people: number;
  moderated?: string;
}

/** `leftOut` and `redacted` count, by reason and by kind, what this page does not show. Without `next` it is the last one. */
export interface ExportedPage {
  export: Export;
  messages: ExportedMessage[];
  leftOut: Record<string, number>;
  redacted: Record<string, number>;
  next?: string;
}

export interface Exports {
  exports: Export[];
}

/** `error` repeats `message`, as older clients read it. */
export interface Failure {
  /** Stable; programs decide by it. */
  code: ErrorCode;
  message: string;
  /** The same as `message`, as older clients read it. */
  error: string;
  timestamp: string;
  /** The same request may succeed later. */
  retryable: boolean;
  /** Milliseconds until a repeat may succeed. */
  retryAfterMs?: number;
  /** The client's own id of the message; a repeat of it never sends twice. */
  tempId?: string;
  /** The wire name of the field at fault. */
  field?: string;
  requestId?: string;
  category?: string;
  /** Finds the answer in the ledger of decisions. */
  decisionId?: string;
  appealable?: boolean;
  /** Finds this very request in the server's log. */
  correlationId: string;
}

/** Oldest first; `next` of one page is the `cursor` of the following. */
export interface FindAppeals {
  state?: "open" | "upheld" | "denied";
  /** `next` of the page before. */
  cursor?: string | null;
  /** At most so many. */
  limit?: number;
}

export interface FindGroups {
  /** The beginning of the name; empty: all. */
  query?: string;
  /** At most so many. */
  limit?: number;
}

/** Oldest first; `next` of one page is the `cursor` of the following. */
export interface FindReviews {
  state?: "open" | "assigned" | "resolved";
  /** `next` of the page before. */
  cursor?: string | null;
  /** At most so many. */
  limit?: number;
}

export interface FindTopics {
  /** The group's `_id`. */
  groupId: string;
  count?: number;
  /** How far back to look. */
  timeRange?: "1h" | "6h" | "12h" | "24h" | "7d" | "30d";
}

export interface FindUsers {
  /** The beginning of the name; empty: all. */
  query?: string;
  /** At most so many. */
  limit?: number;
}

/** A group as one member sees it; in pushes to all, `role`, `unread` and `lastMessage` are left out. */
export interface Group {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  name: string;
  description: string;
  kind: "group" | "direct";
  joinPolicy: "open" | "invite" | "closed";
  settings: GroupSettings;
  memberCount: number;
  /** The newest position of the group's log. */
  latestSeq: number;
  role?: "owner" | "admin" | "moderator" | "member";
  /** Messages after one's read watermark. */
  unread?: number;
  lastMessage?: LastMessage;
  createdBy: string;
  createdAt: string;
  updatedAt: string;
}

export interface GroupDeleted {
  /** The group's `_id`. */
  groupId: string;
}

export interface GroupJoined {
  /** The group's `_id`. */
  groupId: string;
  group: Group;
  onlineMembers: string[];
  /** The newest position of the group's log. */
  latestSeq: number;
}

export interface GroupLeft {
  /** The group's `_id`. */
  groupId: string;
}

export interface GroupMembers {
  /** The group's `_id`. */
  groupId: string;
  members: Member[];
  onlineMembers: string[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

/** 24 lower-case hex characters are a group's id; anything else is a user's, and only one's own is answered. */
export interface GroupOrUserPath {
  id: string;
}

export interface GroupPath {
  /** The group's `_id`. */
  groupId: string;
}

export interface GroupSettings {
  ai: boolean;
  moderation: "fast" | "strict";
  /** Scores from which a message is flagged, masked or refused; only stricter ones count. */
  moderationLimits?: Record<string, Record<string, number>>;
  slowModeSeconds: number;
  retentionDays?: number;
  historyForNewMembers: "all" | "none";
  consent: boolean;
}

export interface GroupSettingsChange {
  ai?: boolean | null;
  moderation?: "fast" | "strict" | null;
  /** Scores from which a message is flagged, masked or refused; only stricter ones count. */
  moderationLimits?: Record<string, Record<string, number>> | null;
  slowModeSeconds?: number | null;
  retentionDays?: number | null;
  historyForNewMembers?: "all" | "none" | null;
  consent?: boolean | null;
}

export interface GroupUpdated {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  group: Group;
}

export interface Groups {
  groups: Group[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

/** `page` 1 is the newest; `before`/`after` are exclusive log positions. At most one of the three. */
export interface History {
  /** The group's `_id`. */
  groupId: string;
  /** 1 is the newest. */
  page?: number | null;
  /** Exclusive log position: messages earlier than this `seq`. */
  before?: number | null;
  /** Exclusive log position: messages later than this `seq`. */
  after?: number | null;
  /** At most so many. */
  limit?: number;
  /** `readBy` adds who has read each message. */
  include?: "readBy" | null;
}

/** Several looks at once. One that failed is missing, and named in `missing`. */
export interface Insights {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  /** The group's `_id`. */
  groupId: string;
  /** How far back to look. */
  timeRange: "1h" | "6h" | "12h" | "24h" | "7d" | "30d";
  messageCount: number;
  /** Only the newest messages of the range were looked at. */
  truncated: boolean;
  /** The same messages were looked at before. */
  cached: boolean;
  summary?: string;
  topics?: Topic[];
  actionItems?: ActionItem[];
  mood?: Mood;
  risk?: Risk;
  activity: Activity;
  /** Looks that failed. */
  missing: ("summary" | "topics" | "action_items" | "mood" | "risk")[];
}

export interface Invite {
  inviteUrl: string;
  /** Stable; programs decide by it. */
  code: string;
  /** The group's `_id`. */
  groupId: string;
  maxUses: number;
  /** ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
}

/** ISO 639 code, `und` for a text without letters. */
export interface Language {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  language: string;
  confidence: number;
}

/** The newest message as a list of groups shows it. */
export interface LastMessage {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  senderId: string;
  sender: User;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
  type: "text" | "image" | "file" | "system";
  isDeleted: boolean;
  createdAt: string;
}

export interface LeaveGroup {
  /** The group's `_id`. */
  groupId: string;
  /** `true` ends the membership; `false` leaves the room with this connection only. */
  membership?: boolean;
}

/** Newest first, from `until` back to `since`; the next page ends at the last one's `at`. */
export interface ListDecisions {
  feature?: "moderation" | "smart_reply" | "typing" | "summary" | "topics" | "sentiment" | "action_items" | "search" | "ask" | "translate" | "language" | "embedding" | "judge" | null;
  /** The group's `_id`. */
  groupId?: string | null;
  prompt?: string | null;
  mode?: "live" | "shadow" | "replay" | null;
  /** The last log position that the client has applied. */
  since?: string | null;
  until?: string | null;
  /** At most so many. */
  limit?: number;
}

export interface ListPrompts {
  function?: string | null;
}

/** One entry of a group's log, as `sync` gives it. */
export type LogEvent =
  | { seq: number; event: "new_message"; data: Message }
  | { seq: number; event: "message_updated"; data: MessageUpdated }
  | { seq: number; event: "message_deleted"; data: MessageDeleted }
  | { seq: number; event: "reaction_changed"; data: ReactionChanged }
  | { seq: number; event: "pins_changed"; data: PinsChanged }
  | { seq: number; event: "member_joined"; data: MemberJoined }
  | { seq: number; event: "member_left"; data: MemberLeft }
  | { seq: number; event: "member_role_changed"; data: MemberRoleChanged }
  | { seq: number; event: "group_updated"; data: GroupUpdated };

export interface Login {
  name: string;
  password: string;
}

export interface MakeAppeal {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  reason: string;
}

/** What a browser's `pushManager.subscribe` gave, as it is, and `scope`: of which messages to tell. */
export interface MakePushSubscription {
  /** The address that the browser's push service gave it. */
  endpoint: string;
  keys: PushKeys;
  expirationTime?: number | null;
  scope?: "all" | "mentions";
}

export interface MarkMessageRead {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
}

/** Either 1-200 `messageIds` or `upToSeq`. */
export interface MarkMessagesRead {
  /** The group's `_id`. */
  groupId: string;
  messageIds?: string[] | null;
  /** Everything up to this log position is read. */
  upToSeq?: number | null;
}

/** Oneself. */
export interface Me {
  /** The person's `sub` at the identity provider. */
  userId: string;
  name: string;
  firstName?: string;
  lastName?: string;
  username?: string;
  imageUrl?: string;
  email?: string;
  roles: string[];
  settings: UserSettings;
}

/** One upload. Without `messageId` it was not sent yet, and only its uploader sees it. */
export interface Media {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  /** The group's `_id`. */
  groupId: string;
  uploaderId: string;
  type: "image" | "file";
  /** A path of this server that does not expire; it wants the token like any other. */
  mediaUrl: string;
  mediaMetadata: MediaMetadata;
  /** The message's `_id`. */
  messageId?: string;
  createdAt: string;
}

/** Of an image or file. Its type is what decoding said; a file that is no image is `application/octet-stream`. */
export interface MediaMetadata {
  filename: string;
  originalFilename: string;
  contentType: string;
  size: number;
  width?: number;
  height?: number;
  thumbnailUrl?: string;
}

export interface MediaPath {
  /** The `_id` of an upload; to send it, of one's own. */
  mediaId: string;
}

export interface Member {
  /** The person's `sub` at the identity provider. */
  userId: string;
  role: "owner" | "admin" | "moderator" | "member";
  joinedAt: string;
  /** Everything up to this log position is read. Missing where the person keeps that private. */
  readSeq?: number;
  isOnline: boolean;
  status?: "online" | "away";
  user: User;
}

export interface MemberJoined {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** The person's `sub` at the identity provider. */
  userId: string;
  user: User;
  role: "owner" | "admin" | "moderator" | "member";
}

export interface MemberLeft {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** The person's `sub` at the identity provider. */
  userId: string;
  reason: "left" | "kicked" | "banned" | "erased";
}

export interface MemberPath {
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
}

export interface MemberRoleChanged {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** The person's `sub` at the identity provider. */
  userId: string;
  role: "owner" | "admin" | "moderator" | "member";
}

/** One message. `seq` is its place in the group's log, `n` its ordinal among the messages people wrote. A system message carries the `n` reached so far, so joining and leaving never counts as unread. A deleted message keeps its place and ids, with empty content. `unavailable` says that the stored bytes failed their integrity check, or (in `message_updated`) that the message is older than the reader's history. */
export interface Message {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** Ordinal among the messages that people wrote; unread counts are differences of it. */
  n: number;
  senderId: string;
  sender: User;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
  type: "text" | "image" | "file" | "system";
  /** A path of this server that does not expire; it wants the token like any other. */
  mediaUrl?: string;
  mediaMetadata?: MediaMetadata;
  /** The `_id` of the message that this one answers. */
  replyTo?: string;
  /** Ids of the people named after an `@`. */
  mentions?: string[];
  /** How many people reacted with each emoji. */
  reactions?: Record<string, number>;
  /** Moderation changed this message; `moderation` says how. */
  aiModerated: boolean;
  moderation?: ModerationMark;
  isDeleted: boolean;
  unavailable?: boolean;
  readBy?: ReadBy[];
  createdAt: string;
  updatedAt: string;
}

export interface MessageDeleted {
  /** The message's `_id`. */
  messageId: string;
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** The changed message's own place in the log; `seq` is the place of this event. */
  messageSeq: number;
  deletedBy: string;
}

export interface MessageOnlyPath {
  /** The message's `_id`. */
  messageId: string;
}

/** Oldest first within the page. */
export interface MessagePage {
  messages: Message[];
  /** The newest position of the group's log. */
  latestSeq: number;
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

export interface MessagePath {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
}

export interface MessageRead {
  /** The message's `_id`. */
  messageId: string;
  /** The group's `_id`. */
  groupId: string;
  readBy: string;
  readAt: string;
  /** Everything up to this log position is read. */
  upToSeq: number;
}

export interface MessageRejectedNotice {
  /** The client's own id of the message; a repeat of it never sends twice. */
  tempId?: string;
  /** The group's `_id`. */
  groupId: string;
  category: string;
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  appealable: boolean;
}

export interface MessageSent {
  /** The client's own id of the message; a repeat of it never sends twice. */
  tempId?: string;
  /** The message's `_id`. */
  messageId: string;
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  createdAt: string;
  /** A repeat of a `tempId` that was stored before; nothing was sent again. */
  duplicate: boolean;
}

export interface MessageUpdated {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** The changed message's own place in the log; `seq` is the place of this event. */
  messageSeq: number;
  message: Message;
}

export interface MessagesRead {
  /** The group's `_id`. */
  groupId: string;
  messageIds: string[];
  readBy: string;
  readAt: string;
  /** Everything up to this log position is read. */
  upToSeq: number;
}

export interface ModerateContent {
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
}

/** `categories` says which are at or above their limit, `scores` how sure the models are, 0 to 1. What the models do not cover is left out. */
export interface ModeratedContent {
  flagged: boolean;
  action: "allow" | "flag" | "mask" | "block";
  category?: string;
  categories: Record<string, boolean>;
  scores: Record<string, number>;
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: string;
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
}

export interface ModerationMark {
  action: "allow" | "flag" | "mask" | "block";
  category?: string;
  /** Finds the answer in the ledger of decisions. */
  decisionId?: string;
}

/** To the author of a message that somebody reviewed. */
export interface ModerationWarning {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
  note?: string;
}

/** `score` from -1 to 1; the counts are messages. */
export interface Mood {
  sentiment: "positive" | "neutral" | "negative";
  score: number;
  positive: number;
  neutral: number;
  negative: number;
}

export interface MyAppeals {
  /** `next` of the page before. */
  cursor?: string | null;
  /** At most so many. */
  limit?: number;
}

/** What a model or a rule decided on one's behalf or about one's messages, without the texts: those are among the messages. `action` is what moderation did; `reviewed` and `appealed` say whether people looked at it since. */
export interface MyDecision {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  feature: string;
  at: string;
  mode: "live" | "shadow" | "replay";
  action?: string;
  /** The group's `_id`. */
  groupId?: string;
  /** The message's `_id`. */
  messageId?: string;
  scores: Record<string, number>;
  provider: string;
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  /** A person looked at it and decided. */
  reviewed: boolean;
  /** Its author asked people to look at it again. */
  appealed: boolean;
}

/** Everything that the server keeps about oneself, in the clear, as the law of many countries asks. `pushSubscriptions` are the browsers that are told of messages, `decisions` the newest in the ledger. `hasMore`: the bounds of one answer left something out. */
export interface MyExport {
  user: Me;
  groups: (Record<string, unknown>)[];
  messages: (Record<string, unknown>)[];
  /** Browsers that are told of messages: their push service, not their address. */
  pushSubscriptions: PushSubscription[];
  decisions: MyDecision[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

export interface OnlineUser {
  /** The person's `sub` at the identity provider. */
  userId: string;
  user: User;
  status: "online" | "away";
  lastActivity: string;
}

export interface OnlineUsers {
  /** The group's `_id`. */
  groupId: string;
  users: OnlineUser[];
}

export interface Pins {
  pins: Message[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

export interface PinsChanged {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  pins: string[];
}

/** RFC 9457, `application/problem+json`. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  /** Stable; programs decide by it. */
  code: ErrorCode;
  /** The same request may succeed later. */
  retryable: boolean;
  /** Milliseconds until a repeat may succeed. */
  retryAfterMs?: number;
  /** The wire name of the field at fault. */
  field?: string;
  category?: string;
  /** Finds the answer in the ledger of decisions. */
  decisionId?: string;
  appealable?: boolean;
  /** Finds this very request in the server's log. */
  correlationId: string;
}

/** `reportId` names an evaluation report that passed, on exactly this version. */
export interface PromotePrompt {
  /** `<Function>@<sha256>`; in requests its beginning or the function's name will do. */
  versionId: string;
  reportId: string;
}

export interface Prompt {
  /** `<Function>@<sha256>`; in requests its beginning or the function's name will do. */
  versionId: string;
  function: string;
  state: "draft" | "shadow" | "canary" | "live" | "retired";
  origin: "shipped" | "added";
  /** Of the people, by a hash of their ids. */
  share?: number;
  parameters: Record<string, unknown>;
}

/** A version's id, the beginning of one, or a function's name for its live version. */
export interface PromptPath {
  /** `<Function>@<sha256>`; in requests its beginning or the function's name will do. */
  versionId: string;
}

export interface PromptText {
  /** `<Function>@<sha256>`; in requests its beginning or the function's name will do. */
  versionId: string;
  function: string;
  state: "draft" | "shadow" | "canary" | "live" | "retired";
  origin: "shipped" | "added";
  /** Of the people, by a hash of their ids. */
  share?: number;
  parameters: Record<string, unknown>;
  text: string;
}

export interface Prompts {
  prompts: Prompt[];
}

/** As `PushSubscription.toJSON()` gives them: what is sent is readable by this browser alone. */
export interface PushKeys {
  p256dh: string;
  auth: string;
}

/** One browser. Its address is not shown again: `host` names the push service. */
export interface PushSubscription {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  host: string;
  scope: "all" | "mentions";
  createdAt: string;
}

export interface PushSubscriptionPath {
  subscriptionId: string;
}

/** `payload` says what notices hold: names of group and sender, nothing, or that there are none. `publicKey` is the `applicationServerKey` of this server. */
export interface PushSubscriptions {
  payload: "titles" | "bare" | "off";
  publicKey: string;
  subscriptions: PushSubscription[];
}

/** What became of a suggestion, or what one thinks of it; each kind counts once. */
export interface RateSuggestion {
  suggestionId: string;
  rating: "positive" | "negative" | "helpful" | "not_helpful" | "inappropriate" | "shown" | "accepted" | "edited" | "dismissed";
  feedback?: string | null;
}

export interface React {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
  /** One emoji, which may be a sequence. */
  emoji: string;
}

export interface ReactionChanged {
  /** The group's `_id`. */
  groupId: string;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  /** The message's `_id`. */
  messageId: string;
  /** One emoji, which may be a sequence. */
  emoji: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
  count: number;
}

export interface ReadAudit {
  /** Exclusive log position: messages earlier than this `seq`. */
  before?: number | null;
  /** At most so many. */
  limit?: number;
}

export interface ReadBy {
  /** The person's `sub` at the identity provider. */
  userId: string;
  readAt: string;
}

/** `position` is the `next` of the page before. Each page that is read stands in the audit. */
export interface ReadExport {
  exportId: string;
  /** `next` of the page before; without it, the first page. */
  position?: string;
}

export interface Receipts {
  /** The message's `_id`. */
  messageId: string;
  readBy: ReadBy[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

/** An evaluation of one prompt version, perhaps in comparison `against` another. `artifacts` maps files of the run to their SHA-256. `sha256` is that of all the rest, as JSON with sorted keys and without spaces. */
export interface Report {
  reportId: string;
  prompt: string;
  /** The version that this one was compared with. */
  against?: string | null;
  job: string;
  status: "passed" | "failed" | "inconclusive" | "error" | "timeout" | "interrupted";
  reason?: string;
  startedAt: string;
  finishedAt: string;
  gates: ReportGate[];
  datasets?: string[];
  /** Files of the run and the SHA-256 of each. */
  artifacts?: Record<string, string>;
  sha256: string;
}

export interface ReportCreated {
  reportId: string;
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
  reason: string;
}

/** One condition of a report: `found` (the value, or a bound of its interval) must be `op` `value`. */
export interface ReportGate {
  metric: string;
  bound: "value" | "ci_low" | "ci_high";
  op: ">=" | "<=" | ">" | "<" | "==";
  value: number;
  found?: number | null;
  state: "passed" | "failed" | "inconclusive" | "missing";
  advisory?: boolean;
  sentence?: string;
}

export interface ReportMessage {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId: string;
  reason: string;
}

export interface ReportPath {
  reportId: string;
}

export interface ReportReceipt {
  reportId: string;
}

/** Replies to the newest message, or to `messageId`. What older clients send along of the conversation is at most a hint at the message that is meant: the server reads the conversation itself. */
export interface RequestSmartReplies {
  /** The group's `_id`. */
  groupId: string;
  /** The message's `_id`. */
  messageId?: string | null;
  stream?: boolean;
  messageContent?: string | null;
  messageHistory?: (Record<string, unknown> | string)[] | null;
  contextMessages?: (Record<string, unknown> | string)[] | null;
  context?: string | (Record<string, unknown> | string)[] | null;
}

/** `cursorPosition` counts as JavaScript does, in UTF-16 units; what follows it is not looked at. `context` is not read. */
export interface RequestTypingSuggestion {
  /** The group's `_id`. */
  groupId: string;
  currentText?: string | null;
  partialText?: string | null;
  /** UTF-16 units before the cursor, as JavaScript counts. */
  cursorPosition?: number | null;
  context?: string | (Record<string, unknown> | string)[] | null;
}

export interface ResolveAppeal {
  appealId: string;
  outcome: "upheld" | "denied";
  note?: string;
}

/** `remove` deletes the message, `restore` undoes what moderation did to it, `warn` tells the author, `kick` and `ban` remove the message and its author from the group. */
export interface ResolveReview {
  reviewId: string;
  resolution: "dismiss" | "remove" | "restore" | "warn" | "kick" | "ban";
  note?: string;
}

/** A message before the people who review. `content` is as it was written, also where it was masked or removed. */
export interface Review {
  /** 24 lower-case hexadecimal characters. */
  _id: string;
  /** The message's `_id`. */
  messageId: string;
  /** The group's `_id`. */
  groupId: string;
  groupName: string;
  author: User;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
  isDeleted: boolean;
  source: "flag" | "report" | "sample" | "unchecked";
  action: "allow" | "flag" | "mask" | "block";
  category?: string;
  score: number;
  /** Finds the answer in the ledger of decisions. */
  decisionId?: string;
  reports: number;
  state: "open" | "assigned" | "resolved";
  assignee?: string;
  resolution?: "dismiss" | "remove" | "restore" | "warn" | "kick" | "ban";
  resolvedBy?: string;
  resolvedAt?: string;
  note?: string;
  createdAt: string;
}

export interface Reviews {
  reviews: Review[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
  next?: string;
}

/** How many messages the first look of moderation finds rough; an estimate, and nobody is named. */
export interface Risk {
  level: "low" | "raised" | "high";
  /** Of the people, by a hash of their ids. */
  share: number;
}

/** Without `groupId` in all groups that the caller is a member of. */
export interface SearchMessages {
  /** What to look for: words, parts of words, or a description of what was said. */
  query: string;
  /** The group's `_id`. */
  groupId?: string | null;
  /** At most so many. */
  limit?: number;
}

export interface SearchResult {
  /** The message's `_id`. */
  messageId: string;
  /** The group's `_id`. */
  groupId: string;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
  /** Only for the order: scores of two searches do not compare. */
  score: number;
  /** Place in the group's log: 1, 2, 3, ... without holes. */
  seq: number;
  senderId: string;
  senderName: string;
  createdAt: string;
}

/** Best first. `incomplete`: some groups are still being read into memory; ask again in a moment for all of them. */
export interface SearchResults {
  results: SearchResult[];
  /** Some groups are still being read into memory: ask again in a moment for all of them. */
  incomplete: boolean;
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: string;
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
}

/** Content may be empty only with a `mediaId`. A repeat with the same `tempId` answers with the first receipt. */
export interface SendMessage {
  /** The group's `_id`. */
  groupId: string;
  /** At most 4096 bytes of UTF-8 after trimming. */
  content?: string;
  type?: "text" | "image" | "file";
  /** The client's own id of the message; a repeat of it never sends twice. */
  tempId?: string | null;
  /** The `_id` of the message that this one answers. */
  replyTo?: string | null;
  /** The `_id` of an upload; to send it, of one's own. */
  mediaId?: string | null;
}

/** `score` from -1 to 1. */
export interface Sentiment {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  sentiment: "positive" | "neutral" | "negative";
  score: number;
}

/** `costUsd` is an estimate, missing where no price is known; `fallback` is why the first choice did not answer. */
export interface ServedBy {
  provider: string;
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  requestId: string;
  latencyMs: number;
  promptTokens: number;
  completionTokens: number;
  /** An estimate from published prices; missing where no price is known. */
  costUsd?: number;
  /** Why the first choice did not answer. */
  fallback?: string;
}

export interface ServerDraining {
  /** Milliseconds until a repeat may succeed. */
  retryAfterMs: number;
}

export interface SessionPath {
  sessionId: string;
}

/** `suggestions` are the texts of `items`, as older clients read them; at most three, none where nothing fits. */
export interface SmartReplies {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  /** The group's `_id`. */
  groupId: string;
  requestId: string;
  suggestions: string[];
  items: Suggestion[];
  confidence: number;
  processingTime: number;
}

/** One suggestion that passed the checks, or at the end none with `isComplete`. */
export interface SmartReplyChunk {
  requestId: string;
  chunk: string;
  isComplete: boolean;
}

/** `share` of the people, above 0 and at most a half. */
export interface StartCanary {
  /** `<Function>@<sha256>`; in requests its beginning or the function's name will do. */
  versionId: string;
  /** Of the people, by a hash of their ids. */
  share: number;
}

export interface Suggestion {
  suggestionId: string;
  text: string;
}

export interface Summarize {
  /** The group's `_id`. */
  groupId: string;
  /** How far back to look. */
  timeRange?: "1h" | "6h" | "12h" | "24h" | "7d" | "30d";
}

export interface Summary {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  /** The group's `_id`. */
  groupId: string;
  /** How far back to look. */
  timeRange: "1h" | "6h" | "12h" | "24h" | "7d" | "30d";
  messageCount: number;
  /** Only the newest messages of the range were looked at. */
  truncated: boolean;
  /** The same messages were looked at before. */
  cached: boolean;
  summary: string;
  messageIds: string[];
}

export interface Sync {
  groups: SyncPoint[];
}

export interface SyncPoint {
  /** The group's `_id`. */
  groupId: string;
  /** The last log position that the client has applied. */
  since: number;
}

export interface Synced {
  groups: SyncedGroup[];
}

/** `error` instead of events where the caller may not read the group (any more). */
export interface SyncedGroup {
  /** The group's `_id`. */
  groupId: string;
  events: LogEvent[];
  /** The newest position of the group's log. */
  latestSeq: number;
  /** There is more in the direction of reading. */
  hasMore: boolean;
  /** The past before these events is gone or hidden: load the history anew. */
  resyncRequired: boolean;
  /** The same as `message`, as older clients read it. */
  error?: string;
}

export interface TokenExpiring {
  /** ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
}

export interface TokenIssued {
  /** A JSON Web Token. */
  token: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
  /** ISO 8601 in UTC with milliseconds. */
  expiresAt: string;
}

/** `share` says how much of the conversation is about it; shares need not add up to 1. */
export interface Topic {
  label: string;
  /** Of the people, by a hash of their ids. */
  share: number;
  messageIds: string[];
}

export interface Topics {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  /** The group's `_id`. */
  groupId: string;
  /** How far back to look. */
  timeRange: "1h" | "6h" | "12h" | "24h" | "7d" | "30d";
  messageCount: number;
  /** Only the newest messages of the range were looked at. */
  truncated: boolean;
  /** The same messages were looked at before. */
  cached: boolean;
  topics: Topic[];
}

export interface TransferOwnership {
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
}

export interface Translate {
  /** At most 4096 bytes of UTF-8 after trimming. */
  content: string;
  targetLanguage: string;
  sourceLanguage?: string | null;
}

export interface Translation {
  /** Finds the answer in the ledger of decisions. */
  decisionId: string;
  provider: "openai" | "compatible" | "embedded" | "rules";
  model: string;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  translatedText: string;
  sourceLanguage: string;
}

/** What would follow the cursor; empty, and then without an id, where nothing is clear. The other fields are missing where no model was asked, as for a text that is too short. */
export interface TypingSuggestion {
  /** The group's `_id`. */
  groupId: string;
  requestId: string;
  suggestionId?: string;
  suggestion: string;
  confidence: number;
  /** Not the provider answered but the small models that ship with the server, or rules. */
  degraded: boolean;
  /** Finds the answer in the ledger of decisions. */
  decisionId?: string;
  provider?: "openai" | "compatible" | "embedded" | "rules";
  model?: string;
}

export interface UpdateGroup {
  /** The group's `_id`. */
  groupId: string;
  name?: string | null;
  description?: string | null;
  joinPolicy?: "open" | "invite" | "closed" | null;
  settings?: GroupSettingsChange | null;
}

export interface UpdateMe {
  settings: UserSettingsChange;
}

/** What people who share a group may see of each other. */
export interface User {
  /** The person's `sub` at the identity provider. */
  userId: string;
  name: string;
  firstName?: string;
  lastName?: string;
  username?: string;
  imageUrl?: string;
}

/** Pushed right after authentication. */
export interface UserGroups {
  groups: Group[];
}

export interface UserOffline {
  /** The person's `sub` at the identity provider. */
  userId: string;
  /** ISO 8601 in UTC with milliseconds. */
  lastSeen: string;
}

export interface UserOnline {
  /** The person's `sub` at the identity provider. */
  userId: string;
  user: User;
  status: "online" | "away";
}

/** `receipts`: others see what I have read. `ai`: AI features work for me. `consent`: my messages may be exported for research. */
export interface UserSettings {
  receipts: boolean;
  ai: boolean;
  consent: boolean;
}

export interface UserSettingsChange {
  receipts?: boolean | null;
  ai?: boolean | null;
  consent?: boolean | null;
}

export interface UserStatusChanged {
  /** The person's `sub` at the identity provider. */
  userId: string;
  status: "online" | "away";
  /** ISO 8601 in UTC with milliseconds. */
  lastSeen: string;
}

export interface UserStoppedTyping {
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
}

export interface UserTyping {
  /** The group's `_id`. */
  groupId: string;
  /** The person's `sub` at the identity provider. */
  userId: string;
  user: User;
}

export interface Users {
  users: User[];
  /** There is more in the direction of reading. */
  hasMore: boolean;
}

/** What a client may emit. Every command answers through its callback; `emitWithAck` waits for it. */
export interface ClientToServerEvents {
  /** Show a token, or a new one. */
  authenticate: (payload: Authenticate, ack: (answer: Ack<AuthenticationSuccess>) => void) => void;
  /** Send a message; a repeat with the same tempId answers with the first receipt. */
  send_message: (payload: SendMessage, ack: (answer: Ack<MessageSent>) => void) => void;
  /** Change the text of one's own message. */
  edit_message: (payload: EditMessage, ack: (answer: Ack<MessageUpdated>) => void) => void;
  /** Delete one's own message, or as a moderator anybody's; its place stays. */
  delete_message: (payload: MessagePath, ack: (answer: Ack<MessageDeleted>) => void) => void;
  /** Move one's read watermark up to a message; earlier ones count as read too. */
  mark_message_read: (payload: MarkMessageRead, ack: (answer: Ack<MessageRead>) => void) => void;
  /** Move one's read watermark up to the last of these messages, or to a log position. */
  mark_messages_read: (payload: MarkMessagesRead, ack: (answer: Ack<MessagesRead>) => void) => void;
  /** What came after a log position, in up to 100 groups. */
  sync: (payload: Sync, ack: (answer: Ack<Synced>) => void) => void;
  /** React to a message with an emoji. */
  add_reaction: (payload: React, ack: (answer: Ack<ReactionChanged>) => void) => void;
  /** Take one's reaction back. */
  remove_reaction: (payload: React, ack: (answer: Ack<ReactionChanged>) => void) => void;
  /** Pin a message to the group. */
  pin_message: (payload: MessagePath, ack: (answer: Ack<PinsChanged>) => void) => void;
  /** Take a pin off. */
  unpin_message: (payload: MessagePath, ack: (answer: Ack<PinsChanged>) => void) => void;
  /** Report a message to the people who review. */
  report_message: (payload: ReportMessage, ack: (answer: Ack<ReportReceipt>) => void) => void;
  /** Enter a group's room; in an open group become a member first. */
  join_group: (payload: GroupPath, ack: (answer: Ack<GroupJoined>) => void) => void;
  /** Leave the room with this connection, or with membership true for good. */
  leave_group: (payload: LeaveGroup, ack: (answer: Ack<GroupLeft>) => void) => void;
  /** Members with role, presence and read watermark. */
  get_group_members: (payload: GroupPath, ack: (answer: Ack<GroupMembers>) => void) => void;
  /** Say that one is typing; it lapses after 5 s. */
  typing_start: (payload: GroupPath, ack: (answer: Ack<Empty>) => void) => void;
  /** Say that one has stopped typing. */
  typing_stop: (payload: GroupPath, ack: (answer: Ack<Empty>) => void) => void;
  /** Who of a group is online. */
  get_online_users: (payload: GroupPath, ack: (answer: Ack<OnlineUsers>) => void) => void;
  /** Say that one is online or away. */
  change_status: (payload: ChangeStatus, ack: (answer: Ack<Empty>) => void) => void;
  /** What one could answer to a message; only the caller sees it. */
  request_smart_replies: (payload: RequestSmartReplies, ack: (answer: Ack<Accepted>) => void) => void;
  /** The rest of a line that is being typed. */
  request_typing_suggestions: (payload: RequestTypingSuggestion, ack: (answer: Ack<Accepted>) => void) => void;
  /** Say what became of a suggestion. */
  rate_ai_suggestion: (payload: RateSuggestion, ack: (answer: Ack<Empty>) => void) => void;
}

/** What the server emits: pushes, replies to the caller, refusals. */
export interface ServerToClientEvents {
  /** The connection is signed in. */
  authentication_success: (data: AuthenticationSuccess) => void;
  /** 15 s before the token expires: send `authenticate` with a new one, or be closed 60 s after it. */
  token_expiring: (data: TokenExpiring) => void;
  /** A message in a group; not to the connection that sent it, but to the sender's others. */
  new_message: (data: Message) => void;
  /** A message was edited; to the caller too. */
  message_updated: (data: MessageUpdated) => void;
  /** A message was deleted; to the caller too. */
  message_deleted: (data: MessageDeleted) => void;
  /** Somebody's read watermark moved up to a message. */
  message_read: (data: MessageRead) => void;
  /** Somebody's read watermark moved up. */
  messages_read: (data: MessagesRead) => void;
  /** Somebody reacted to a message, or took it back. */
  reaction_changed: (data: ReactionChanged) => void;
  /** All pins of the group as they are now. */
  pins_changed: (data: PinsChanged) => void;
  /** A message was reported; to the people who review. */
  report_created: (data: ReportCreated) => void;
  /** One's groups, right after signing in. */
  user_groups: (data: UserGroups) => void;
  /** Somebody became a member. */
  member_joined: (data: MemberJoined) => void;
  /** Somebody's membership ended. */
  member_left: (data: MemberLeft) => void;
  /** A member has another role. */
  member_role_changed: (data: MemberRoleChanged) => void;
  /** Name, description, joining or settings changed. */
  group_updated: (data: GroupUpdated) => void;
  /** The group is gone for everybody. */
  group_deleted: (data: GroupDeleted) => void;
  /** Somebody is typing; it lapses after 5 s. */
  user_typing: (data: UserTyping) => void;
  /** Somebody has stopped typing. */
  user_stopped_typing: (data: UserStoppedTyping) => void;
  /** Somebody who shares a group came online. */
  user_online: (data: UserOnline) => void;
  /** Somebody who shares a group went offline. */
  user_offline: (data: UserOffline) => void;
  /** Somebody who shares a group is online or away. */
  user_status_changed: (data: UserStatusChanged) => void;
  /** A suggestion that passed the checks; at the end none, with `isComplete`. */
  smart_reply_stream: (data: SmartReplyChunk) => void;
  /** Moderation refused what one sent or edited; `POST /api/appeals` objects to it. */
  message_rejected: (data: MessageRejectedNotice) => void;
  /** One's appeal was upheld or denied. */
  appeal_resolved: (data: AppealResolved) => void;
  /** Somebody reviewed one's message and warns its author. */
  moderation_warning: (data: ModerationWarning) => void;
  /** The server is about to stop: connect again after `retryAfterMs`. */
  server_draining: (data: ServerDraining) => void;
  /** The reply to `send_message`. */
  message_sent: (data: MessageSent) => void;
  /** The reply to `join_group`. */
  group_joined: (data: GroupJoined) => void;
  /** The reply to `leave_group`. */
  group_left: (data: GroupLeft) => void;
  /** The reply to `get_group_members`. */
  group_members: (data: GroupMembers) => void;
  /** The reply to `get_online_users`. */
  online_users: (data: OnlineUsers) => void;
  /** The reply to `request_smart_replies`. */
  smart_replies_complete: (data: SmartReplies) => void;
  /** The reply to `request_typing_suggestions`. */
  typing_suggestion: (data: TypingSuggestion) => void;
  /** `authenticate` was refused, or no token came within 10 s; then the connection is closed. */
  authentication_error: (data: Failure) => void;
  /** A command on messages or receipts was refused. */
  message_error: (data: Failure) => void;
  /** A command on groups or membership was refused. */
  group_error: (data: Failure) => void;
  /** A request to the AI features was refused or failed. */
  ai_error: (data: Failure) => void;
  /** Any other command was refused. */
  error: (data: Failure) => void;
}
