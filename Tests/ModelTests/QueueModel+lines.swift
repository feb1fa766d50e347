/// The model and the store as lines of text, one for each fact, so that the first difference can be shown.

extension QueueModel {
    /// What `observation` must find.
    var lines: Set<String> {
        var lines: Set<String> = []
        for message in messages.values {
            let attempts = "\(message.retried) \(message.reclaimed)"
            let source = "\(message.source ?? "-") \(message.sourceQueue ?? "-")"
            lines.insert(
                "message \(message.id) \(message.state) \(message.place.text) \(message.due) \(attempts) \(source)")
            if let hold = message.hold {
                let place = hold.place.dropFirst("roost:{0}:".count)
                lines.insert("active \(hold.node) \(message.id) \(place)")
            }
        }
        for (lane, waiting) in lanes {
            if !waiting.again.isEmpty { lines.insert("waiting again:\(lane) " + waiting.again.joined(separator: " ")) }
            if !waiting.fresh.isEmpty { lines.insert("waiting lane:\(lane) " + waiting.fresh.joined(separator: " ")) }
        }
        for (lane, holders) in held { for id in holders { lines.insert("held \(lane) \(id)") } }
        for (source, callbacks) in waits { for id in callbacks { lines.insert("waits \(source) \(id)") } }
        for (lane, gate) in gates { lines.insert(line(of: lane, gate)) }
        for queue in queues { lines.insert("queues \(queue)") }
        for flow in flows { lines.insert("flows \(flow)") }
        for (node, lease) in nodes { lines.insert("nodes \(node) \(lease)") }
        for (id, end) in finished { lines.insert("finished \(id) \(end.time)") }
        for (id, time) in ended { lines.insert("ended \(id) \(time)") }
        for (id, letter) in dead { lines.insert("dead \(id) \(letter.message.id) \(letter.message.retried)") }
        for (name, dedup) in dedups { lines.insert("dedup \(name) \(dedup.id) \(dedup.till)") }
        for (id, schedule) in schedules {
            let planned = schedule.isPaused ? "inf" : "\(schedule.next)"
            lines.insert("schedule \(id) \(schedule.revision) \(schedule.next) \(planned) \(schedule.missed)")
            for (message, state) in schedule.states { lines.insert("states \(id) \(message) \(state)") }
        }
        return lines
    }

    private func line(of lane: String, _ gate: Gate) -> String {
        let short = String(lane.drop { $0 != ":" }.dropFirst())
        let count = lane.hasPrefix("queue:") ? count(ofQueue: short) : count(ofFlow: short)
        let limits = [gate.parallelism, gate.rate, gate.period].map { $0.map { "\($0)" } ?? "-" }.joined(separator: " ")
        let flags = [gate.isPaused, gate.pinsParallelism, gate.pinsRate, gate.isDeleted].map { $0 ? "1" : "0" }
        let window = gate.windowStart.map { "\($0) \(gate.windowCount)" } ?? "- 0"
        return "gate \(lane) \(count) \(flags.joined(separator: " ")) \(limits) \(window)"
    }
}

enum Observation {
    /// A script that reads the same facts out of a root. ARGV[1]: "audit" for what `audit` finds as well, "events" for the
    /// log instead, counted by message and state, with the length of each history.
    static func source(audit: String) -> String {
        "local function audit(KEYS, ARGV)\n\(audit)\nend\n" + observe
    }

    private static let observe = #"""
        local root, out = KEYS[1], {}
        local function line(...) out[#out + 1] = table.concat({ ... }, ' ') end
        local function short(place)
          return place and string.sub(place, 1, #root + 1) == root .. ':' and string.sub(place, #root + 2) or place
        end
        for _, id in ipairs(redis.call('ZRANGE', root .. ':messages', 0, -1)) do
          local r = redis.call('HMGET', root .. ':message:' .. id, 'state', 'place', 'due', 'retried',
            'reclaimed', 'source', 'sourceQueue')
          line('message', id, r[1] or '-', short(string.match(r[2] or '-', '^%S+')), r[3] or '-', r[4] or '0', r[5] or '0',
            r[6] or '-', r[7] or '-')
        end
        local function pairs_of(list, f) for i = 1, #list, 2 do f(list[i], list[i + 1]) end end
        local look = {}
        local function stream(family, name, k)
          local group = redis.call('XINFO', 'GROUPS', k)[1]
          local found = redis.call('XRANGE', k, '(' .. group[8], '+')
          local ids = {}
          for i, entry in ipairs(found) do ids[i] = entry[2][2] end
          if #ids > 0 then line('waiting', family .. ':' .. name, unpack(ids)) end
        end
        look.lane = function(name, k) stream('lane', name, k) end
        look.again = function(name, k) stream('again', name, k) end
        look.held = function(name, k) for _, id in ipairs(redis.call('SMEMBERS', k)) do line('held', name, id) end end
        look.waits = function(name, k) for _, id in ipairs(redis.call('SMEMBERS', k)) do line('waits', name, id) end end
        look.active = function(name, k)
          pairs_of(redis.call('HGETALL', k), function(id, place) line('active', name, id, short(place)) end)
        end
        look.gate = function(name, k)
          local g = redis.call('HMGET', k, 'messages', 'paused', 'pinnedParallelism', 'pinnedRate', 'deletedTo', 'parallelism',
            'rate', 'period', 'windowStart', 'windowCount')
          line('gate', name, g[1] or '0', g[2] or '0', g[3] or '0', g[4] or '0', g[5] and '1' or '0', g[6] or '-',
            g[7] or '-', g[8] or '-', g[9] or '-', g[10] or '0')
        end
        look.queues = function(_, k) for _, name in ipairs(redis.call('SMEMBERS', k)) do line('queues', name) end end
        look.flows = function(_, k) for _, name in ipairs(redis.call('SMEMBERS', k)) do line('flows', name) end end
        look.nodes = function(_, k) pairs_of(redis.call('ZRANGE', k, 0, -1, 'WITHSCORES'), function(n, t) line('nodes', n, t) end) end
        look.finished = function(_, k) pairs_of(redis.call('ZRANGE', k, 0, -1, 'WITHSCORES'), function(n, t) line('finished', n, t) end) end
        look.ended = function(_, k) pairs_of(redis.call('ZRANGE', k, 0, -1, 'WITHSCORES'), function(n, t) line('ended', n, t) end) end
        look.dead = function(name, k)
          if name == '' then return end
          local r = redis.call('HMGET', k, 'message', 'retried')
          line('dead', name, r[1] or '-', r[2] or '0')
        end
        look.dedup = function(name, k) line('dedup', name, redis.call('GET', k)) end
        look.schedule = function(name, k)
          local r = redis.call('HMGET', k, 'revision', 'next', 'missed')
          line('schedule', name, r[1] or '-', r[2] or '-', redis.call('ZSCORE', root .. ':schedules', name) or '-', r[3] or '0')
        end
        look.states = function(name, k)
          pairs_of(redis.call('HGETALL', k), function(id, state) line('states', name, id, state) end)
        end
        look.aside = function(_, k) for _, text in ipairs(redis.call('LRANGE', k, 0, -1)) do line('aside', text) end end
        if ARGV[1] == 'events' then
          local counts, before = {}, {}
          look = { log = function(number, k)
            if number == '' then return end
            for _, entry in ipairs(redis.call('XRANGE', k, '-', '+')) do
              local f = entry[2]
              local function event(ref, message, state, last)
                local name = message .. ' ' .. state
                counts[name] = (counts[name] or 0) + 1
                before[ref] = { message, last }
              end
              if f[1] == 'message' then
                event(entry[1], f[2], f[4], f[8])
              else
                local ms, number = string.match(entry[1], '^(%d+)-(%d+)$')
                for i = 3, #f, 2 do
                  event(string.format('%s-%d', ms, number + (i - 3) / 2), f[i], f[2], string.match(f[i + 1], '(%S*)$'))
                end
              end
            end
          end }
          out = {}
          for _, k in ipairs(redis.call('KEYS', root .. ':log:*')) do look.log(string.sub(k, #root + 6), k) end
          for name, number in pairs(counts) do line('event', name, number) end
          for _, k in ipairs(redis.call('KEYS', root .. ':history:*')) do
            pairs_of(redis.call('HGETALL', k), function(id, ref)
              local length = 0
              while before[ref] and before[ref][1] == id do
                length = length + 1
                ref = before[ref][2]
              end
              line('history', id, length)
            end)
          end
          return out
        end
        for _, k in ipairs(redis.call('KEYS', root .. ':*')) do
          local family, name = string.match(string.sub(k, #root + 2), '^(%a+):?(.*)$')
          if look[family] then look[family](name, k) end
        end
        line('ring', redis.call('EXISTS', root .. ':idle') == 1 and 'asleep' or 'awake', redis.call('ZCARD', root .. ':open'))
        if ARGV[1] == 'audit' then
          local at = '0'
          repeat
            local found = audit(KEYS, { at, '1000' })
            at = found[1]
            for i = 2, #found do line('audit', found[i]) end
          until at == '0'
        end
        return out
        """#
}
