"""The view `completeness`: of each instrument, id space and day, which share of the recorded time is proven."""

# Time is cut at every end of a range or gap and at midnight; of each piece it is known what lies over it. So ranges
# that overlap count once: where ids and event times do not ascend together they do.
# What was recorded ends with the newest range or gap: what follows a gap may be told of later.
# A part of a day reaches up to its end, the last one includes it: there a gap of no length may lie.
COMPLETENESS = """
WITH ranges AS (
    SELECT instrument, id_space, least(first_ts, last_ts) AS low, greatest(first_ts, last_ts) AS high
    FROM ledger.public.coverage
), holes AS (
    SELECT instrument, id_space, after_ts AS low, greatest(after_ts, before_ts) AS high, missing, state
    FROM ledger.public.gaps
), spans AS (
    SELECT r.instrument, r.id_space, min(r.low) AS first, max(greatest(r.high, h.high)) AS last
    FROM ranges r LEFT JOIN (SELECT instrument, id_space, max(high) AS high FROM holes GROUP BY ALL) h
        USING (instrument, id_space)
    GROUP BY ALL
), days AS (
    SELECT instrument, id_space, first, last,
           unnest(generate_series(date_trunc('day', first), date_trunc('day', last), INTERVAL 1 DAY)) AS day
    FROM spans
), parts AS (
    SELECT instrument, id_space, day, last,
           greatest(day, first) AS begins, least(day + INTERVAL 1 DAY, last) AS ends
    FROM days WHERE day < last OR first = last
), cuts AS (
    SELECT instrument, id_space, low AS moment, 1 AS covered, 0 AS hole FROM ranges
    UNION ALL SELECT instrument, id_space, high, -1, 0 FROM ranges
    UNION ALL SELECT instrument, id_space, low, 0, 1 FROM holes
    UNION ALL SELECT instrument, id_space, high, 0, -1 FROM holes
    UNION ALL SELECT instrument, id_space, begins, 0, 0 FROM parts
), changes AS (
    SELECT instrument, id_space, moment, sum(covered) AS covered, sum(hole) AS hole FROM cuts GROUP BY ALL
), pieces AS (
    SELECT instrument, id_space, date_trunc('day', moment) AS day,
           epoch_us(lead(moment) OVER ascending) - epoch_us(moment) AS us,
           sum(covered) OVER ascending > 0 AS covered, sum(hole) OVER ascending > 0 AS hole
    FROM changes WINDOW ascending AS (PARTITION BY instrument, id_space ORDER BY moment)
), measured AS (
    SELECT instrument, id_space, day, sum(us) FILTER (covered) AS had, sum(us) FILTER (covered AND hole) AS again
    FROM pieces GROUP BY ALL
), counted AS (
    SELECT p.instrument, p.id_space, p.day,
           count(*) FILTER (h.missing = 0) AS repaired,
           count(*) FILTER (h.missing > 0 AND h.state <> 'unfillable') AS open,
           count(*) FILTER (h.missing > 0 AND h.state = 'unfillable') AS unfillable
    FROM parts p JOIN holes h USING (instrument, id_space)
    WHERE (h.low < p.ends AND h.high > p.begins)
       OR (h.low >= p.begins AND (h.low < p.ends OR (h.low = p.ends AND p.ends = p.last)))
    GROUP BY ALL
), shares AS (
    SELECT p.*, epoch_us(p.ends) - epoch_us(p.begins) AS span,
           coalesce(m.had, 0) AS had, coalesce(m.again, 0) AS again,
           coalesce(c.repaired, 0) AS gaps_repaired, coalesce(c.open, 0) AS gaps_open,
           coalesce(c.unfillable, 0) AS gaps_unfillable
    FROM parts p LEFT JOIN measured m USING (instrument, id_space, day)
        LEFT JOIN counted c USING (instrument, id_space, day)
)
SELECT instrument, id_space, day::DATE AS day, begins AS first, ends AS last,
       coalesce((had - again) / nullif(span, 0), 1)::DOUBLE AS proven,
       coalesce(again / nullif(span, 0), 0)::DOUBLE AS repaired,
       coalesce((span - had) / nullif(span, 0), 0)::DOUBLE AS missing,
       gaps_repaired, gaps_open, gaps_unfillable
FROM shares
"""
